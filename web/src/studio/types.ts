// What the server answers, as its OpenAPI description has it; what it leaves open (rows of reports, cells) is said here.
import type { components } from "../api.d";

type Answers = components["schemas"];

export type About = Answers["About"];
export type Attention = Answers["AttentionShown"];
export type Band = Answers["BandShown"];
export type ChangeEdit = Answers["EditAsked"];
export type ChangeLine = Answers["Wrote"] | Answers["NextTokens"] | Answers["Metric"] | Answers["Receipt"] | Answers["Done"] | Answers["Failed"];
export type EditsShown = Answers["EditsShown"];
export type Fires = Answers["Firings"];
export type Interval = Answers["Interval"];
export type Item = Answers["Item"];
export type Method = Answers["MethodNamed"];
export type Metric = Answers["Metric"];
export type Near = Answers["Near"];
export type Odds = Answers["Likely"];
export type PromptAnswer = Answers["PromptShown"];
export type Run = Answers["RunShown"];
export type TokenValue = Answers["Valued"];
export type Unit = Answers["UnitShown"];
export type View = Answers["ViewShown"];
export type ViewAsked = Required<Answers["ViewAsked"]>;

/** A number of a report; null where it is none. */
export interface Row {
  measure: string;
  of: string;
  value: number | null;
  low: number | null;
  high: number | null;
  nodes: number | null;
  examples: number;
  unit: string;
}

export type Report = Omit<Answers["ReportShown"], "rows"> & { rows: Row[] };

/** One selection of what one search scored. */
export interface Cell {
  key: string;
  model: string;
  behaviour: string;
  unit: string;
  search: string;
  select: string;
  failed: string;
  report: { rows?: Row[] };
  sizes: number[];
  flags: string[];
  cost: Record<string, number | null>;
}

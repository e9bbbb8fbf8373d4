// What the view of a circuit is given and what it tells: `bundle` of clew/apps/_bundle.py, as TypeScript.

export interface Said {
  text: string;
  brief: string;
  kind: string;
  tested: string;
  all: string;
}

/** A text with its token between « and », or tokens with a value each. */
export type Example = string | { tokens: string[]; values?: number[] };

export interface Supernode {
  name: string;
  members: string[];
  similarity?: number | null;
  accepted?: boolean | null;
}

export interface Tried {
  r: number | null;
  slope: number | null;
  nodes?: number;
  edges?: number;
  points?: [string, number | null, number | null][];
}

export interface Details {
  title?: string;
  metric?: string;
  tokens?: string[];
  top_tokens?: Record<string, string[]>;
  promotes?: Record<string, string[]>;
  suppresses?: Record<string, string[]>;
  examples?: Record<string, Example[]>;
  predicted_effects?: Tried;
}

export interface CircuitFile {
  format: string;
  version: number;
  sites: { site: string; units: number }[];
  kind: { of: string; prompt?: { tokens: string[] } | null };
  nodes: { site: number[]; unit: number[]; position: number[]; score: (number | null)[]; score_error?: (number | null)[] };
  edges: { source: number[]; target: number[]; weight: (number | null)[]; weight_error?: (number | null)[] };
  labels: Record<string, Record<string, unknown>[]>;
  supernodes?: Supernode[];
  details?: Details;
  provenance: Record<string, unknown>;
}

export interface Row {
  measure: string;
  value: number | null;
  low: number | null;
  high: number | null;
  of: string;
  nodes: number | null;
  examples: number | null;
  /** What `nodes` counts: nodes, or edges. */
  unit: string;
}

export interface Report {
  title: string;
  rows: Row[];
  notes: string[];
}

export interface Ruling {
  address: string;
  verdict?: "keep" | "drop" | null;
  reason?: string;
  judge?: string;
  date?: string;
}

export interface Verdicts {
  units: Ruling[];
  [other: string]: unknown;
}

export type Side = "a" | "b" | "both";

/** Of a node or an edge of two circuits: which has it, and the number that each gives it. */
export interface OfEach {
  side: Side;
  a: number | null;
  b: number | null;
}

export interface Bundle {
  title: string;
  words: string;
  prompts: { name: string; text: string; answers: string[] }[];
  made: string[];
  unit: string;
  names: string[];
  /** The id of each node in the attribution graph that is written of the circuit. */
  ids: string[];
  groups: Record<string, string>;
  said: Record<string, Said[]>;
  circuit: CircuitFile;
  report: Report | null;
  verdicts: Verdicts | null;
  /** Of two circuits held side by side; in the order of the circuit's nodes and edges. */
  sides?: { names: [string, string]; nodes: OfEach[]; edges: OfEach[]; said: string[] };
  path?: string;
  tag?: string;
}

/** What is done with what a person changes. What is not given stays in the page and in what is exported. */
export interface On {
  /** A unit has another name. */
  label?(address: string, text: string): void;
  /** The supernodes are these now. */
  groups?(groups: Supernode[]): void;
  /** Supernodes found by the circuit's edges. */
  autogroup?(): Promise<Supernode[]>;
  /** The verdicts are these now. */
  verdicts?(verdicts: Verdicts): void;
  /** Open all that is known of a unit. */
  unit?(address: string): void;
}

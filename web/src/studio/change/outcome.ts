// What comes of a change, line by line as it comes.
import type { ChangeLine, Metric, Odds } from "../types";

export interface Outcome {
  before: string;
  after: string;
  next: { before: Odds[]; after: Odds[] } | null;
  metrics: Metric[];
  receipts: string[];
  seconds: number | null;
}

export const NOTHING: Outcome = { before: "", after: "", next: null, metrics: [], receipts: [], seconds: null };

/** What is known after one more line. Throws what the server says went wrong. */
export function withLine(known: Outcome, line: ChangeLine): Outcome {
  switch (line.type) {
    case "token":
      return { ...known, [line.side]: known[line.side] + line.text };
    case "next":
      return { ...known, next: line };
    case "metric":
      return { ...known, metrics: [...known.metrics, line] };
    case "receipt":
      return { ...known, receipts: [...known.receipts, line.text] };
    case "done":
      return { ...known, seconds: line.seconds };
    case "error":
      return known;
  }
}

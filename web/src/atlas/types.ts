// What the page of an atlas is given, by its file or by a server.

export type Interval = readonly [value: number | null, low: number | null, high: number | null];

/** What a circuit carries by one measure and ablation, beside the random circuits of its size. */
export interface Share {
  measure: "faithfulness" | "completeness";
  of: string;
  size: number | null;
  own: Interval;
  random: Interval | null;
  p: number | null;
}

/** What became of the answers in contexts that a rule changed. */
export interface Check {
  n: number;
  kept: number | null;
  drop: number | null;
}

export interface Found {
  nodes: readonly (readonly [address: string, score: number])[];
  scored: number;
  edges: number;
  shares: readonly Share[];
  checks: { beginnings: Check; words: Check };
}

export interface Behaviour {
  id: number;
  name: string;
  usual: string;
  fit: readonly [precision: number | null, recall: number | null];
  like: { size: number; documents: number; silhouette: number | null; entropy: number; ngrams: readonly number[]; trivial: boolean };
  answers: readonly (readonly [token: string, times: number])[];
  examples: readonly { text: string; answer: string; source: number }[];
  at: readonly [x: number, y: number];
  circuit: Found | null;
  near: readonly (readonly [id: number, cosine: number])[];
  same_as: number | null;
}

export interface Atlas {
  title: string;
  words: string;
  made: readonly (readonly [name: string, text: string])[];
  sources: readonly string[];
  /** Sources whose contexts are not shown. */
  hidden: readonly string[];
  /** So many of the strongest nodes of a circuit are here at most. */
  nodes: number;
  entries: readonly Behaviour[];
  /** What units are called, by address. */
  units: Readonly<Record<string, string>>;
}

/** What else there is where a server is. */
export interface On {
  /** Where the whole circuit of a behaviour is shown, for a link. */
  circuit?(id: number): string;
}

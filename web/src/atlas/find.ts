// Searching, sorting and comparing behaviours; nothing here draws.
import type { Atlas, Behaviour, Share } from "./types";

/** A behaviour with what is looked for and sorted by. */
export interface Row {
  of: Behaviour;
  title: string;
  text: string;
  /** Of the units of its circuit, the share of the sum of their |scores|. */
  units: ReadonlyMap<string, number>;
  faithfulness: number | null;
  fit: number | null;
}

export const SORTS = ["size", "faithfulness", "silhouette", "fit"] as const;
export type Sort = (typeof SORTS)[number];

export interface Asked {
  query: string;
  trivial: boolean;
  joined: boolean;
  sort: Sort;
}

export const titleOf = (one: Behaviour): string => one.name || one.usual;
export const isError = (address: string): boolean => address.endsWith("/error");

/** By the first ablation that it was judged by. */
export const faithfulnessOf = (one: Behaviour): Share | undefined => one.circuit?.shares.find(({ measure }) => measure === "faithfulness");

/** How well a name fits: the harmonic mean of precision and recall. */
export function fitOf([precision, recall]: Behaviour["fit"]): number | null {
  if (precision === null || recall === null) return null;
  return precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0;
}

export function rowOf(of: Behaviour): Row {
  const nodes = of.circuit?.nodes ?? [], sum = nodes.reduce((total, [, score]) => total + Math.abs(score), 0) || 1;
  const words = [of.name, of.usual, ...of.answers.map(([token]) => token), ...of.examples.map(({ text }) => text)];
  return {
    of, title: titleOf(of), text: words.join("\n").toLowerCase(), units: new Map(nodes.map(([address, score]) => [address, Math.abs(score) / sum])),
    faithfulness: faithfulnessOf(of)?.own[0] ?? null, fit: of.name ? fitOf(of.fit) : null,
  };
}

const ADDRESS = /^[a-z_]+(\.\d+)?\/(\d+|error)$/i;

/** The words and the units that a search asks for. */
export function parsed(query: string, known: ReadonlySet<string>): { words: string[]; units: string[] } {
  const parts = query.trim().split(/\s+/).filter(Boolean);
  const isUnit = (part: string) => known.has(part) || (part.includes(".") && ADDRESS.test(part));
  return { words: parts.filter((part) => !isUnit(part)).map((part) => part.toLowerCase()), units: parts.filter(isUnit) };
}

const value = (row: Row, sort: Sort): number | null => (sort === "size" ? row.of.like.size : sort === "silhouette" ? row.of.like.silhouette : row[sort]);

/** Those in which all words stand and whose circuits hold all units, the largest value first; those without one last. */
export function found(rows: readonly Row[], asked: Asked, known: ReadonlySet<string>): Row[] {
  const { words, units } = parsed(asked.query, known);
  const kept = rows.filter(({ of, text, units: held }) =>
    (asked.trivial || !of.like.trivial) && (asked.joined || of.same_as === null) && words.every((word) => text.includes(word)) && units.every((unit) => held.has(unit)));
  const size = (row: Row) => value(row, asked.sort) ?? -Infinity;
  return kept.sort((a, b) => (size(a) === size(b) ? a.of.id - b.of.id : size(b) - size(a)));
}

export interface Feature {
  address: string;
  /** The behaviours it serves. */
  serves: readonly Row[];
}

/** The units of the circuits, those that serve most behaviours first; what a dictionary leaves out is none. */
export function features(rows: readonly Row[]): Feature[] {
  const serves = new Map<string, Row[]>();
  for (const row of rows)
    for (const address of row.units.keys()) {
      if (isError(address)) continue;
      const known = serves.get(address);
      if (known) known.push(row);
      else serves.set(address, [row]);
    }
  return [...serves].map(([address, of]) => ({ address, serves: of })).sort((a, b) => b.serves.length - a.serves.length || (a.address < b.address ? -1 : 1));
}

/** What two circuits have both: nodes with the score in each, those that weigh most in both first. */
export function shared(a: Row, b: Row): { address: string; a: number; b: number }[] {
  const scores = new Map(b.of.circuit?.nodes ?? []);
  const weight = (address: string) => Math.min(a.units.get(address)!, b.units.get(address)!);
  return (a.of.circuit?.nodes ?? [])
    .flatMap(([address, score]) => (scores.has(address) ? [{ address, a: score, b: scores.get(address)! }] : []))
    .sort((one, other) => weight(other.address) - weight(one.address));
}

/** How alike two circuits are, if that was found to be much. */
export const likeness = (a: Behaviour, b: Behaviour): number | undefined => (a.near.find(([id]) => id === b.id) ?? b.near.find(([id]) => id === a.id))?.[1];

export const knownUnits = (data: Atlas): Set<string> => new Set(data.entries.flatMap((one) => one.circuit?.nodes.map(([address]) => address) ?? []));

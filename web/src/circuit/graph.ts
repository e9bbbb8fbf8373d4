import { quoted, shown } from "../card/words";
import type { Bundle, Example, OfEach, Said, Side, Supernode } from "./types";

export const ANYWHERE = -1;
const ERROR = -1;
const OUTPUT = -1;

export type Shape = "circle" | "square" | "error" | "group";

/** A node of the circuit, a supernode that stands for its members, or the metric. */
export interface Item {
  /** Its place among the items; the metric comes after all nodes. */
  i: number;
  address: string;
  /** Its unit: the address without a position. */
  key: string;
  site: number;
  unit: number;
  position: number;
  score: number;
  error: number | null;
  weight: number;
  rank: number;
  shape: Shape;
  /** What it is, in words. */
  name: string;
  label: string;
  group: string;
  said: Said[];
  tokens?: string[];
  promotes?: string[];
  suppresses?: string[];
  examples: Example[];
  members: Item[];
  sides?: OfEach;
  into: Edge[];
  outof: Edge[];
}

export interface Edge {
  from: Item;
  to: Item;
  weight: number;
  error: number | null;
  strength: number;
  sides?: OfEach;
}

/** A circuit as it is drawn. */
export interface Graph {
  data: Bundle;
  /** All nodes, strongest first. */
  ranked: Item[];
  goal: Item;
  /** Strongest first. */
  edges: Edge[];
  sites: string[];
  /** What stands over each column; empty where nodes have no position. */
  words: string[];
  heaviest: number;
  strongest: number;
}

const strongestFirst = (a: Edge, b: Edge) => b.strength - a.strength;
const own = <T>(table: Record<string, T> | undefined, key: string): T | undefined =>
  table && Object.hasOwn(table, key) ? table[key] : undefined;
const listed = (table: Record<string, string[]> | undefined, key: string) => {
  const told = own(table, key);
  return told === undefined ? undefined : ([] as string[]).concat(told).map(String);
};

/** The nodes and edges that a bundle holds, with what a person called them meanwhile. */
export function read(data: Bundle, labels: ReadonlyMap<string, string>, groups: readonly Supernode[]): Graph {
  const { circuit } = data;
  const details = circuit.details ?? {};
  const sites = circuit.sites.map((s) => s.site);
  const grouped = new Map(groups.flatMap((group) => group.members.map((member) => [member, `in “${group.name}”`] as const)));
  const nodes = circuit.nodes.score.map((score, i): Item => {
    const site = circuit.nodes.site[i]!, unit = circuit.nodes.unit[i]!, position = circuit.nodes.position[i]!;
    const part = sites[site]!.split(".")[0]!;
    const key = `${sites[site]}/${unit === ERROR ? "error" : unit}`;
    const address = position === ANYWHERE ? key : `${key}@${position}`;
    const given = labels.get(key), known = own(data.said, key) ?? [];
    const said = given === undefined ? known : [{ text: given, brief: given, kind: "your words", tested: "", all: "" }, ...known].filter((s) => s.text);
    return {
      i, address, key, site, unit, position, said,
      score: score ?? 0, weight: Math.abs(score ?? 0), error: circuit.nodes.score_error?.[i] ?? null, rank: 0,
      shape: unit === ERROR ? "error" : circuit.kind.of === "components" || part === "head" || part === "neuron" ? "square" : "circle",
      name: data.names[i] ?? address,
      label: said[0]?.brief ?? "",
      group: grouped.get(address) ?? "",
      tokens: listed(details.top_tokens, key), promotes: listed(details.promotes, key), suppresses: listed(details.suppresses, key),
      examples: ([] as Example[]).concat(own(details.examples, key) ?? []),
      members: [], sides: data.sides?.nodes[i], into: [], outof: [],
    };
  });
  const goal = metric(nodes.length, String(details.metric ?? "metric"));
  const edges = circuit.edges.weight.map((weight, k): Edge => {
    const target = circuit.edges.target[k]!;
    return tied(nodes[circuit.edges.source[k]!]!, target === OUTPUT ? goal : nodes[target]!, weight ?? 0, circuit.edges.weight_error?.[k] ?? null, data.sides?.edges[k]);
  });
  const aligned = nodes.some((n) => n.position !== ANYWHERE);
  const told = circuit.kind.prompt?.tokens ?? details.tokens ?? [];
  const columns = aligned ? nodes.reduce((most, n) => Math.max(most, n.position + 1), told.length) : 0;
  const words = Array.from({ length: columns }, (_, p) => String(told[p] ?? p));
  if (aligned && nodes.some((n) => n.position === ANYWHERE)) words.push("everywhere");
  return ordered({ data, ranked: nodes, goal, edges, sites, words, heaviest: 1, strongest: 1 });
}

const metric = (i: number, label: string): Item => ({
  i, address: "metric", key: "metric", site: -1, unit: 0, position: ANYWHERE, score: 0, error: null, weight: 0, rank: -1,
  shape: "circle", name: "metric", label, group: "", said: [], examples: [], members: [], into: [], outof: [],
});

function tied(from: Item, to: Item, weight: number, error: number | null, sides?: OfEach): Edge {
  const edge = { from, to, weight, error, strength: Math.abs(weight), sides };
  from.outof.push(edge);
  to.into.push(edge);
  return edge;
}

function ordered(graph: Graph): Graph {
  graph.ranked.sort((a, b) => b.weight - a.weight || a.i - b.i).forEach((item, rank) => (item.rank = rank));
  graph.edges.sort(strongestFirst);
  for (const end of [...graph.ranked, graph.goal]) for (const ties of [end.into, end.outof]) ties.sort(strongestFirst);
  return { ...graph, heaviest: graph.ranked[0]?.weight || 1, strongest: graph.edges[0]?.strength || 1 };
}

/** The graph with each supernode in the place of its members: scores and edges are sums. */
export function folded(graph: Graph, groups: readonly Supernode[]): Graph {
  const of = new Map<string, Item[]>(groups.map((group) => [group.name, []]));
  const group = new Map(groups.flatMap((one) => one.members.map((member) => [member, one.name] as const)));
  const items: Item[] = [], place = new Map<Item, Item>();
  const fresh = (item: Item, more: Partial<Item>): Item => ({ ...item, into: [], outof: [], ...more, i: items.length });
  for (const item of graph.ranked) of.get(group.get(item.address) ?? "")?.push(item);
  for (const item of graph.ranked) {
    const name = group.get(item.address), members = name === undefined ? [] : of.get(name)!;
    if (members.length < 2) {
      const alone = fresh(item, {});
      items.push(alone);
      place.set(item, alone);
    } else if (members[0] === item) {
      const score = members.reduce((sum, m) => sum + m.score, 0);
      const made = fresh(item, {
        address: `supernode ${name}`, key: `supernode ${name}`, score, weight: Math.abs(score), error: null, shape: "group", members,
        name: `supernode of ${members.length}`, label: name!, group: "", said: [], tokens: undefined, examples: [], sides: undefined, unit: 0,
      });
      items.push(made);
      for (const member of members) place.set(member, made);
    }
  }
  const goal = metric(items.length, graph.goal.label), sums = new Map<Item, Map<Item, number>>();
  place.set(graph.goal, goal);
  for (const edge of graph.edges) {
    const from = place.get(edge.from)!, to = place.get(edge.to)!;
    if (from === to) continue;
    const row = sums.get(from) ?? sums.set(from, new Map()).get(from)!;
    row.set(to, (row.get(to) ?? 0) + edge.weight);
  }
  const edges = [...sums].flatMap(([from, row]) => [...row].map(([to, weight]) => tied(from, to, weight, null)));
  return ordered({ ...graph, ranked: items, goal, edges });
}

export const isGoal = (item: Item) => item.rank < 0;
export const isUnit = (item: Item) => item.shape === "circle" || item.shape === "square";
export const titled = (item: Item) => item.label || item.group || item.name;
export const columnOf = (graph: Graph, item: Item) =>
  !graph.words.length ? 0 : item.position === ANYWHERE ? graph.words.length - 1 : item.position;
const wordAt = (graph: Graph, item: Item) => shown(graph.words[item.position] ?? "").trim();
export const placeOf = (graph: Graph, item: Item) =>
  item.position === ANYWHERE ? "all positions summed" : `at “${wordAt(graph, item)}”, position ${item.position}`;

/** An item in little room. */
export const inBrief = (graph: Graph, item: Item) =>
  item.label || item.group || [item.shape === "square" ? item.name : item.key, quoted(item.tokens), item.position === ANYWHERE ? "" : `at ${wordAt(graph, item)}`].filter(Boolean).join(" ");

export function matches(item: Item, query: string): boolean {
  const texts = [item.label, item.group, item.name, item.address, ...item.said.map((s) => s.text), ...(item.tokens ?? []), ...(item.promotes ?? [])];
  return texts.some((text) => text.toLowerCase().includes(query)) || item.members.some((member) => matches(member, query));
}

export const onSide = (sides: OfEach | undefined, wanted: Side | "all") => wanted === "all" || !sides || sides.side === wanted;

/** The items with their ties, in the colour of their sign or of their side. */
export const colourOf = (one: { sides?: OfEach }, value: number) => (one.sides ? `side-${one.sides.side}` : value < 0 ? "minus" : "plus");

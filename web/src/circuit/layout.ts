import { shown } from "../card/words";
import { columnOf, isGoal, type Edge, type Graph, type Item } from "./graph";

// Where things stand: rows are sites from the bottom up, columns are token positions.

const ROW = 20, TOP = 30, LINES = 2000;
const LEFT = 92;

export interface Spot {
  x: number;
  y: number;
  line: number;
}

export interface Lane {
  x: number;
  width: number;
}

export interface Plan {
  width: number;
  height: number;
  /** Room for the names of rows. */
  left: number;
  lanes: Lane[];
  rows: { site: number; top: number; bottom: number }[];
  /** By the index of the item; of those that are not shown there is none. */
  spots: (Spot | undefined)[];
  shown: Item[];
}

interface Cell {
  items: Item[];
  lines: number;
}

/** The plan of the shown items in a drawing so wide, which will be seen `k` times as large; `edges` pull together what they tie. */
export function arrange(graph: Graph, items: readonly Item[], edges: readonly Edge[], wide: number, k = 1): Plan {
  const left = LEFT / k;
  const aligned = graph.words.length > 0, columns = Math.max(1, graph.words.length);
  const cells = cellsOf(graph, items, columns), sites = [...cells.keys()].sort((a, b) => a - b);
  const wants = Array.from({ length: columns }, (_, c) => {
    const fullest = Math.max(0, ...sites.map((s) => cells.get(s)![c]!.items.length));
    const word = aligned ? Math.min(150, 7.6 * shown(graph.words[c]!).length + 16) : 0;
    return Math.max(word, 30 + 24 * Math.min(fullest, 8));
  });
  const asked = wants.reduce((a, b) => a + b, 0);
  const width = Math.max(wide, Math.min(left + 18 + 0.8 * asked, 900)), room = width - left - 18;
  let x = left;
  const lanes = wants.map((want) => {
    const lane = { x, width: (want / asked) * room };
    x += lane.width;
    return lane;
  });
  const spots: (Spot | undefined)[] = Array(graph.ranked.length + 1);
  place(cells, sites, lanes, aligned, edges, spots);

  const foot = 14, head = graph.goal.into.length ? TOP + 34 : 14;
  const gap = sites.length > 24 ? 8 : sites.length > 9 ? 16 : 30;
  const high = sites.map((site) => gap + ROW * Math.max(...cells.get(site)!.map((cell) => cell.lines)));
  const height = high.reduce((a, h) => a + h, 0) + foot + head;
  let y = height - foot;
  const rows = sites.map((site, k) => {
    const row = { site, bottom: y, top: y - high[k]! };
    y = row.top;
    for (const cell of cells.get(site)!) for (const item of cell.items) {
      const spot = spots[item.i]!;
      spot.y = (row.top + row.bottom) / 2 + spot.line * ROW;
    }
    return row;
  });
  const last = lanes.at(-1)!, middle = aligned ? last.x + last.width / 2 : left + room / 2;
  spots[graph.goal.i] = { x: Math.min(middle, width - 20 - goalWidth(graph.goal) / 2), y: TOP - 2, line: 0 };
  return { width, height, left, lanes, rows, spots, shown: [...items] };
}

export const goalWidth = (goal: Item) => 26 + 7.4 * Math.min(40, goal.label.length);

function cellsOf(graph: Graph, items: readonly Item[], columns: number): Map<number, Cell[]> {
  const cells = new Map<number, Cell[]>();
  for (const item of items) {
    const row = cells.get(item.site) ?? cells.set(item.site, Array.from({ length: columns }, () => ({ items: [], lines: 1 }))).get(item.site)!;
    row[columnOf(graph, item)]!.items.push(item);
  }
  return cells;
}

// Within a cell, items are staggered from row to row, so that edges pass between them, and drawn some way towards
// what they are tied to.
function place(cells: Map<number, Cell[]>, sites: number[], lanes: Lane[], aligned: boolean, edges: readonly Edge[], spots: (Spot | undefined)[]) {
  const home: number[] = [], margin = (lane: Lane) => Math.min(aligned ? 16 : 90, lane.width / 4);
  sites.forEach((site, k) => cells.get(site)!.forEach((cell, c) => {
    const lane = lanes[c]!;
    cell.items.sort((a, b) => a.unit - b.unit || a.i - b.i).forEach((item, j) => {
      const share = (j + ((k + 1) * 0.618034) % 1) / cell.items.length;
      home[item.i] = lane.x + margin(lane) + share * (lane.width - 2 * margin(lane));
      spots[item.i] = { x: home[item.i]!, y: 0, line: 0 };
    });
    spread(cell, lane, margin(lane), aligned, spots);
  }));
  const pulls = pullsOf(edges, spots);
  for (let sweep = 0; sweep < 6; sweep++) for (const site of sweep % 2 ? sites : [...sites].reverse()) cells.get(site)!.forEach((cell, c) => {
    for (const item of cell.items) {
      let sum = 0, mass = 0;
      for (const [other, strength] of pulls.get(item) ?? []) {
        sum += spots[other.i]!.x * strength;
        mass += strength;
      }
      if (mass) spots[item.i]!.x = 0.6 * home[item.i]! + (0.4 * sum) / mass;
    }
    spread(cell, lanes[c]!, margin(lanes[c]!), aligned, spots);
  });
}

function pullsOf(edges: readonly Edge[], spots: (Spot | undefined)[]): Map<Item, [Item, number][]> {
  const pulls = new Map<Item, [Item, number][]>();
  const pull = (item: Item, other: Item, strength: number) => (pulls.get(item) ?? pulls.set(item, []).get(item)!).push([other, strength]);
  for (const { from, to, strength } of edges.slice(0, LINES)) {
    if (isGoal(to) || !spots[from.i] || !spots[to.i]) continue;
    pull(from, to, strength);
    pull(to, from, strength);
  }
  return pulls;
}

// Keeps the items of a cell inside its lane and off one another, on several lines when one is too short.
function spread(cell: Cell, lane: Lane, margin: number, aligned: boolean, spots: (Spot | undefined)[]) {
  const { items } = cell, at = (item: Item) => spots[item.i]!;
  const low = lane.x + Math.min(margin, 12), high = lane.x + lane.width - Math.min(margin, 12);
  cell.lines = Math.max(1, Math.ceil(items.length / Math.max(1, Math.floor((high - low) / 19) + 1)));
  const gap = Math.min(aligned ? 26 : 120, items.length > 1 ? ((high - low) * cell.lines) / (items.length - 1) : Infinity);
  items.sort((a, b) => at(a).x - at(b).x);
  const last: number[] = Array(cell.lines).fill(-Infinity), first: number[] = Array(cell.lines).fill(Infinity);
  items.forEach((item, k) => {
    const line = k % cell.lines;
    at(item).x = last[line] = Math.max(low, at(item).x, last[line]! + gap);
    at(item).line = line - (cell.lines - 1) / 2;
  });
  for (let k = items.length - 1; k >= 0; k--) {
    const line = k % cell.lines;
    at(items[k]!).x = first[line] = Math.min(high, at(items[k]!).x, first[line]! - gap);
  }
}

export const radiusOf = (graph: Graph, item: Item) => 3.5 + 6 * Math.sqrt(item.weight / graph.heaviest);
/** Half of how wide it is drawn. */
export const reachOf = (graph: Graph, item: Item) => radiusOf(graph, item) * (item.shape === "group" ? 1.5 : 1);
export const widthOf = (graph: Graph, edge: Edge) => 0.6 + 4.6 * Math.sqrt(edge.strength / graph.strongest);
export const inkOf = (graph: Graph, edge: Edge) => (isGoal(edge.to) ? 0.55 : 1) * (0.16 + 0.5 * Math.sqrt(edge.strength / graph.strongest));

/** An edge as the data of a path; one that would run straight up through what stands between its ends swings out. */
export function curve(graph: Graph, plan: Plan, { from, to }: Edge): string {
  const a = plan.spots[from.i]!, b = plan.spots[to.i]!;
  const y1 = a.y - radiusOf(graph, from), y2 = isGoal(to) ? b.y + 13 : b.y + radiusOf(graph, to);
  const bend = Math.max(18, Math.abs(y1 - y2) * 0.45);
  const swing = Math.abs(a.x - b.x) < 12 && y1 - y2 > 30 ? Math.min(34, (y1 - y2) * 0.12) * (from.i % 2 ? 1 : -1) : 0;
  const f = (v: number) => v.toFixed(1);
  return `M${f(a.x)} ${f(y1)}C${f(a.x + swing)} ${f(y1 - bend)} ${f(b.x + swing)} ${f(y2 + bend)} ${f(b.x)} ${f(y2)}`;
}

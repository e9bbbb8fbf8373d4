import { clip, shown } from "../card/words";
import { colourOf, type Edge } from "./graph";
import { bands, groupNames, hull } from "./Ground";
import { curve, goalWidth, inkOf, radiusOf, widthOf } from "./layout";
import { names } from "./names";
import { box, outline } from "./shapes";
import type { View } from "./view";

// What is shown, as a list of marks with their colours written out: a picture of it opens anywhere.

export interface PathMark {
  d: string;
  x: number;
  y: number;
  fill: string;
  stroke: string;
  wide: number;
  opacity: number;
  dashes?: number[];
}

export interface TextMark {
  text: string;
  x: number;
  y: number;
  fill: string;
  halo: string;
  size: number;
  weight: number;
  anchor: "start" | "middle" | "end";
  mono: boolean;
}

export interface Drawn {
  width: number;
  height: number;
  paper: string;
  paths: PathMark[];
  texts: TextMark[];
}

const FOOT = 40, LETTERS = 12;

/** The whole drawing, whichever part of it is in view: ground, edges, ties of what is held or pinned, nodes and names. */
export function drawing(view: View): Drawn {
  const graph = view.graph.value, plan = view.plan.value, styles = getComputedStyle(document.getElementById("stage") ?? document.documentElement);
  const colour = (name: string) => styles.getPropertyValue(`--${name}`).trim();
  const paths: PathMark[] = [], texts: TextMark[] = [];
  const path = (d: string, more: Partial<PathMark>) => d && paths.push({ d, x: 0, y: 0, fill: "none", stroke: "none", wide: 1, opacity: 1, ...more });
  const text = (words: string, x: number, y: number, more: Partial<TextMark>) =>
    texts.push({ text: words, x, y, fill: colour("soft"), halo: colour("sheet"), size: LETTERS, weight: 400, anchor: "start", mono: false, ...more });

  for (const row of bands(graph, plan)) path(`M0 ${row.top}H${plan.width}V${row.bottom}H0Z`, { fill: colour("band") });
  for (const group of view.groups.value) path(hull(plan, group), { stroke: colour("accent"), wide: 26, opacity: 0.12 });
  for (const lane of graph.words.length ? plan.lanes.slice(1) : []) path(`M${lane.x} ${plan.rows.at(-1)?.top ?? 0}V${plan.rows[0]?.bottom ?? 0}`, { stroke: colour("line"), dashes: [1, 4] });
  const tie = (edge: Edge, opacity: number) => path(curve(graph, plan, edge), { stroke: colour(colourOf(edge, edge.weight)), wide: widthOf(graph, edge), opacity });
  const lit = view.lit.value, dim = (item: { i: number }) => (lit && ![...lit].some((one) => one.i === item.i) ? 0.14 : 1);
  for (const edge of [...view.drawn.value].reverse()) tie(edge, inkOf(graph, edge) * (lit ? 0.14 : 1));
  for (const edge of view.ties.value) tie(edge, 0.85);
  for (const item of [...plan.shown].reverse()) {
    const { x, y } = plan.spots[item.i]!, r = radiusOf(graph, item), sign = colour(colourOf(item, item.score)), verdict = view.rulings.value.get(item.key);
    const d = outline(item.shape, r), held = item === view.focus.value;
    if (held) path(outline(item.shape, r + 3.5), { x, y, stroke: colour("ring"), wide: 1.6 });
    path(d, { x, y, fill: colour("sheet"), ...(verdict ? { stroke: colour(verdict), wide: 5 } : {}) });
    path(d, { x, y, fill: sign, opacity: (0.2 + 0.8 * Math.sqrt(item.weight / graph.heaviest)) * dim(item) });
    path(d, { x, y, stroke: sign, wide: 1.3, opacity: dim(item) });
    if (view.pinned.value.includes(item.address)) path(outline("circle", 2.6), { x: x + r * 0.75 + 1, y: y - r * 0.75 - 1, fill: colour("ring") });
  }
  for (const name of names(graph, plan, LETTERS, view.pins.value)) if (dim(name.item) === 1) text(name.text, name.x, name.y, { anchor: name.anchor });
  for (const { text: name, x, y } of groupNames(plan, view.groups.value, LETTERS)) text(name, x, y, { fill: colour("ink"), weight: 600, anchor: "middle" });
  for (const row of plan.rows) text(graph.sites[row.site]!, 16, (row.top + row.bottom) / 2 + 4, { fill: colour("faint"), mono: true });
  plan.lanes.slice(0, graph.words.length).forEach((lane, c) => text(clip(shown(graph.words[c]!).trim(), Math.max(3, Math.floor((lane.width - 6) / 7))), lane.x + lane.width / 2, plan.height + 25,
    { fill: colour("ink"), weight: 500, anchor: "middle" }));
  const goal = plan.spots[graph.goal.i]!;
  if (graph.goal.into.length) {
    path(box(goalWidth(graph.goal) / 2, 13, 13), { x: goal.x, y: goal.y, fill: colour("sheet"), stroke: colour("ink"), wide: 1.2 });
    text(clip(graph.goal.label, 40), goal.x, goal.y + 4.2, { fill: colour("ink"), weight: 600, anchor: "middle" });
  }
  return { width: plan.width, height: plan.height + (graph.words.length ? FOOT : 0), paper: colour("sheet"), paths, texts };
}


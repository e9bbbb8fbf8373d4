// Where dots stand on the map, which one is meant, and how they are drawn; the canvas itself is in Map.tsx.
import { clip, shown } from "../card/words";
import type { Row } from "./find";

export interface Camera {
  /** How much larger than fitted. */
  zoom: number;
  /** What stands in the middle, in the coordinates of the atlas. */
  x: number;
  y: number;
}

export interface Dot {
  row: Row;
  x: number;
  y: number;
  r: number;
}

export interface Plan {
  width: number;
  height: number;
  /** Pixels for one of the atlas's own units, where it is fitted. */
  scale: number;
  middle: Pick<Camera, "x" | "y">;
  /** The largest first, so that small ones are drawn over them. */
  rows: readonly Row[];
  most: number;
  /** The radius of the largest dot. */
  largest: number;
}

const PAD = 28, SMALLEST = 2.2, LARGEST = 11;
/** Beside so many dots each is smaller. */
const CROWD = 700;
export const FURTHEST = 40;

export function planned(rows: readonly Row[], width: number, height: number): Plan {
  let [left, right, top, bottom, most] = [Infinity, -Infinity, Infinity, -Infinity, 1];
  for (const { of } of rows) {
    [left, right, top, bottom] = [Math.min(left, of.at[0]), Math.max(right, of.at[0]), Math.min(top, of.at[1]), Math.max(bottom, of.at[1])];
    most = Math.max(most, of.like.size);
  }
  const scale = Math.min((width - 2 * PAD) / (right - left || 1), (height - 2 * PAD) / (bottom - top || 1));
  const middle = rows.length ? { x: left / 2 + right / 2, y: top / 2 + bottom / 2 } : { x: 0, y: 0 };
  return { width, height, scale: Number.isFinite(scale) && scale > 0 ? scale : 1, middle, largest: LARGEST * Math.min(1, Math.sqrt(CROWD / (rows.length || 1))), rows: [...rows].sort((a, b) => b.of.like.size - a.of.like.size), most };
}

/** Area goes by size. */
const reach = (plan: Plan, size: number): number => Math.max(SMALLEST, plan.largest * Math.sqrt(size / plan.most));

export function dots(plan: Plan, { zoom, x, y }: Camera): Dot[] {
  const k = plan.scale * zoom, grown = Math.sqrt(Math.min(zoom, 6));
  return plan.rows.map((row) => ({
    row, x: plan.width / 2 + (row.of.at[0] - x) * k, y: plan.height / 2 + (row.of.at[1] - y) * k, r: reach(plan, row.of.like.size) * grown,
  }));
}

/** The dot under a point: of those that it is in, or nearly, the one whose middle is nearest. */
export function under(all: readonly Dot[], x: number, y: number, near = 4): Dot | undefined {
  let best: Dot | undefined, least = Infinity;
  for (const dot of all) {
    const away = Math.hypot(dot.x - x, dot.y - y);
    if (away <= dot.r + near && away < least) [best, least] = [dot, away];
  }
  return best;
}

/** The nearest dot in a direction; one that is aside counts as further. */
export function onwards(all: readonly Dot[], from: Dot, dx: number, dy: number): Dot | undefined {
  let best: Dot | undefined, least = Infinity;
  for (const dot of all) {
    const x = dot.x - from.x, y = dot.y - from.y, ahead = x * dx + y * dy, aside = Math.abs(x * dy - y * dx);
    const far = ahead + 2.5 * aside;
    if (dot !== from && ahead > 0.01 && aside <= 2 * ahead && far < least) [best, least] = [dot, far];
  }
  return best;
}

export interface Colours {
  low: string;
  high: string;
  trivial: string;
  ink: string;
  sheet: string;
  soft: string;
  font: string;
}

/** A colour between two of the form #rrggbb. */
export function between(low: string, high: string, share: number): string {
  const part = (colour: string, i: number) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16), s = Math.min(1, Math.max(0, share));
  return `rgb(${[0, 1, 2].map((i) => Math.round(part(low, i) * (1 - s) + part(high, i) * s)).join(" ")})`;
}

export const colourOf = (row: Row, { low, high, trivial }: Colours): string => (row.of.like.trivial ? trivial : between(low, high, row.faithfulness ?? 0));

export interface Marked {
  within: ReadonlySet<Row>;
  rings: readonly (Row | undefined)[];
  over: Row | undefined;
}

const CALLED = 26, NAMED = 14, LETTER = 6.1;

export function draw(on: CanvasRenderingContext2D, plan: Plan, all: readonly Dot[], { within, rings, over }: Marked, colours: Colours): void {
  on.clearRect(0, 0, plan.width, plan.height);
  on.lineWidth = 1.4;
  for (const { row, x, y, r } of all) {
    if (x < -r || y < -r || x > plan.width + r || y > plan.height + r) continue;
    const filled = row.faithfulness !== null;
    on.globalAlpha = !within.has(row) ? 0.07 : row.of.same_as === null ? 0.85 : 0.4;
    on.beginPath();
    on.arc(x, y, filled ? r : Math.max(1, r - 0.7), 0, 2 * Math.PI);
    on[filled ? "fillStyle" : "strokeStyle"] = colourOf(row, colours);
    if (filled) on.fill();
    else on.stroke();
  }
  on.globalAlpha = 1;
  const marked = all.filter(({ row }) => rings.includes(row) || row === over);
  on.strokeStyle = colours.ink;
  on.lineWidth = 2;
  for (const { x, y, r } of marked) {
    on.beginPath();
    on.arc(x, y, r + 3, 0, 2 * Math.PI);
    on.stroke();
  }
  names(on, plan, [...marked, ...all.filter(({ row }) => within.has(row)).slice(0, 3 * NAMED)], marked.length, colours);
}

/** Names of what is marked, then of the largest, where they touch no other name. */
function names(on: CanvasRenderingContext2D, plan: Plan, all: readonly Dot[], first: number, colours: Colours): void {
  const taken: [left: number, top: number, right: number, bottom: number][] = [];
  on.font = colours.font;
  on.lineWidth = 3;
  on.lineJoin = "round";
  on.strokeStyle = colours.sheet;
  for (const [i, { row, x, y, r }] of all.entries()) {
    if (taken.length >= first + NAMED) return;
    const text = clip(shown(row.title), CALLED), long = LETTER * text.length, left = x + r + 4 + long > plan.width ? x - r - 4 - long : x + r + 4;
    const box = [left, y - 8, left + long, y + 8] as const, inside = left >= 0 && box[1] >= 0 && box[2] <= plan.width && box[3] <= plan.height;
    if (i >= first && (!inside || taken.some((t) => t[0] < box[2] && box[0] < t[2] && t[1] < box[3] && box[1] < t[3]))) continue;
    taken.push([...box]);
    on.fillStyle = i < first ? colours.ink : colours.soft;
    on.strokeText(text, left, y + 4);
    on.fillText(text, left, y + 4);
  }
}

import { clip, quoted } from "../card/words";
import type { Graph, Item } from "./graph";
import { reachOf, type Plan } from "./layout";

export interface Name {
  item: Item;
  text: string;
  x: number;
  y: number;
  anchor: "start" | "end";
}

const MOST = 160;

export const nameOf = (graph: Graph, item: Item) =>
  clip(item.label || (item.shape === "square" && !graph.words.length ? item.name : quoted(item.tokens)), 34);

/**
 * Names where they touch no node and no other name: those that must be there first, then the strongest nodes'.
 * `size` is that of the letters, so that a larger drawing has room for more names.
 */
export function names(graph: Graph, plan: Plan, size: number, first: readonly Item[]): Name[] {
  const taken = plan.shown.map((item) => {
    const { x, y } = plan.spots[item.i]!, r = reachOf(graph, item);
    return [x - r - 2, y - r, x + r + 2, y + r] as const;
  });
  const written: Name[] = [];
  for (const item of new Set([...first, ...plan.shown])) {
    const text = nameOf(graph, item), spot = plan.spots[item.i];
    if (!text || !spot || written.length >= MOST) continue;
    const r = reachOf(graph, item), long = 0.54 * size * text.length + 4, half = 0.58 * size;
    for (const [x, anchor, shift] of [[spot.x + r + 5, "start", 0], [spot.x - r - 5, "end", -long]] as const) {
      const [left, top, right, bottom] = [x + shift, spot.y - half, x + shift + long, spot.y + half];
      if (left < plan.left - 6 || right > plan.width - 6) continue;
      if (taken.some((t) => t[0] < right && left < t[2] && t[1] < bottom && top < t[3])) continue;
      taken.push([left, top, right, bottom]);
      written.push({ item, text, x, y: spot.y + 0.32 * size, anchor });
      break;
    }
  }
  return written;
}

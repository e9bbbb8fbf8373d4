import { clip, quoted } from "../card/words";
import { isUnit, type Graph, type Item } from "./graph";
import { goalWidth, reachOf, type Plan } from "./layout";

export interface Name {
  item: Item;
  text: string;
  x: number;
  y: number;
  anchor: "start" | "middle" | "end";
}

const MOST = 160, TRIED = 320;
/** So many of the strongest are called by their address, where nothing else is known of them, and find more places. */
const FIRST = 20;
/** Letters of a name; one that finds no room is tried again shorter. */
const LENGTHS = [34, 20, 12];

const nameOf = (graph: Graph, item: Item) =>
  item.label || (item.shape === "square" && !graph.words.length ? item.name : quoted(item.tokens)) || (item.rank < FIRST && isUnit(item) ? item.key : "");

/**
 * Names where they touch no node and no other name: those that must be there first, then the strongest nodes'; beside the
 * node, those of the strongest also over or under it, or shorter. `size` is that of the letters, so that a larger drawing
 * has room for more names.
 */
export function names(graph: Graph, plan: Plan, size: number, first: readonly Item[]): Name[] {
  const taken = plan.shown.map((item): Box => {
    const { x, y } = plan.spots[item.i]!, r = reachOf(graph, item);
    return [x - r - 2, y - r, x + r + 2, y + r];
  });
  const goal = plan.spots[graph.goal.i]!, wide = goalWidth(graph.goal) / 2;
  if (graph.goal.into.length) taken.push([goal.x - wide, goal.y - 13, goal.x + wide, goal.y + 13]);
  const written: Name[] = [];
  for (const item of new Set([...first, ...plan.shown.slice(0, TRIED)])) {
    const whole = nameOf(graph, item), spot = plan.spots[item.i];
    if (!whole || !spot || written.length >= MOST) continue;
    const places = placesOf(whole, spot, reachOf(graph, item), size).slice(0, item.rank < FIRST ? undefined : 2);
    const found = places.find(({ box: [left, top, right, bottom] }) =>
      left >= plan.left - 6 && right <= plan.width - 6 && top >= 0 && bottom <= plan.height
      && !taken.some((t) => t[0] < right && left < t[2] && t[1] < bottom && top < t[3]));
    if (!found) continue;
    taken.push(found.box);
    written.push({ item, ...found.name });
  }
  return written;
}

type Box = readonly [left: number, top: number, right: number, bottom: number];

/** Where a name may stand, and the room it takes there; the best place first. */
function placesOf(whole: string, { x, y }: { x: number; y: number }, r: number, size: number): { name: Omit<Name, "item">; box: Box }[] {
  const half = 0.58 * size, away = r + half + 1;
  return [...new Set(LENGTHS.map((most) => clip(whole, most)))].flatMap((text) => {
    const long = 0.54 * size * text.length + 4, over = [y - away, y + away];
    const at = (anchor: Name["anchor"], from: number, left: number, middle: number) =>
      ({ name: { text, x: from, y: middle + 0.32 * size, anchor }, box: [left, middle - half, left + long, middle + half] as const });
    return [
      at("start", x + r + 5, x + r + 5, y), at("end", x - r - 5, x - r - 5 - long, y), ...over.map((middle) => at("middle", x, x - long / 2, middle)),
      ...over.flatMap((middle) => [at("start", x - r, x - r, middle), at("end", x + r, x + r - long, middle)]),
    ];
  });
}

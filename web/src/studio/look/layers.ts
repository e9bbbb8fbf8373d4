import type { Look } from "../seen";
import { about, itemsOf } from "../state";

/** The layers at which the chosen dictionaries are, as far as their files say. */
export function layersOf({ through }: Look): number[] {
  const packs = new Map((about.value?.models ?? []).map(({ name, sites }) => [name, sites]));
  const files = new Map(itemsOf("dictionary").map(({ path, sites }) => [path, sites ?? []]));
  const layers = through.flatMap((path) => files.get(path) ?? packs.get(path) ?? []).map((site) => Number(site.split(".")[1]));
  return [...new Set(layers)].filter(Number.isInteger).sort((a, b) => a - b);
}

/** Numbers in order, as people write them: 0 to 3, 7, 9. */
export function inRanges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const one of numbers) {
    const last = runs.at(-1);
    if (last && one === last[1] + 1) last[1] = one;
    else runs.push([one, one]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}${to - from > 1 ? " to " : ", "}${to}`)).join(", ");
}

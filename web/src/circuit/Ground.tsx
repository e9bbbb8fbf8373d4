import { clip } from "../card/words";
import type { Graph } from "./graph";
import type { Plan } from "./layout";
import type { Supernode } from "./types";

/** Bands of layers, lanes of tokens, and a shade around the members of each supernode. */
export function Ground({ graph, plan, groups }: { graph: Graph; plan: Plan; groups: readonly Supernode[] }) {
  const top = plan.rows.at(-1)?.top ?? 0, bottom = plan.rows[0]?.bottom ?? 0;
  return (
    <>
      {bands(graph, plan).map((row) => <rect key={row.site} class="band" x={-plan.width} y={row.top} width={3 * plan.width} height={row.bottom - row.top} />)}
      {graph.words.length > 0 && plan.lanes.slice(1).map((lane) => <line key={lane.x} class="lane" x1={lane.x} x2={lane.x} y1={top} y2={bottom} />)}
      {groups.map((group) => <path key={group.name} class="hull" d={hull(plan, group)} />)}
    </>
  );
}

const layerOf = (graph: Graph, site: number) => graph.sites[site]!.split(".")[1] ?? graph.sites[site]!;

/** The rows of every other layer. */
export function bands(graph: Graph, plan: Plan): Plan["rows"] {
  const layers = [...new Set(plan.rows.map((row) => layerOf(graph, row.site)))];
  return plan.rows.filter((row) => layers.indexOf(layerOf(graph, row.site)) % 2 === 0);
}

/** Letters of a supernode's name; one that finds no room is tried again shorter. */
const LENGTHS = [30, 16, 8];

/** The names of supernodes inside the drawing, where they touch no other of them. Args: size: of the letters. */
export function groupNames(plan: Plan, groups: readonly Supernode[], size: number): { text: string; x: number; y: number }[] {
  const taken: { text: string; x: number; y: number; half: number }[] = [];
  for (const group of groups) {
    const spot = nameSpot(plan, group);
    const places = spot ? LENGTHS.map((most) => placed(plan, clip(group.name, most), spot, size)) : [];
    const free = places.find((one) => !taken.some((t) => Math.abs(t.x - one.x) < t.half + one.half && Math.abs(t.y - one.y) < 1.2 * size));
    if (free) taken.push(free);
  }
  return taken;
}

function placed(plan: Plan, text: string, { x, y }: { x: number; y: number }, size: number) {
  const half = 0.31 * size * text.length + 2;
  return { text, x: Math.max(plan.left + half, Math.min(plan.width - 6 - half, x)), y, half };
}

/** Where the name of a supernode would stand: over its topmost member. */
function nameSpot(plan: Plan, group: Supernode): { x: number; y: number } | null {
  const spots = spotsOf(plan, group), top = spots.at(-1);
  return spots.length > 1 && top ? { x: top.x, y: top.y - 18 } : null;
}

function spotsOf(plan: Plan, group: Supernode) {
  const members = new Set(group.members);
  return plan.shown.filter((item) => members.has(item.address)).map((item) => plan.spots[item.i]!).sort((a, b) => b.y - a.y || a.x - b.x);
}

/** A line through the members that are shown, first layer first; its stroke is wide. */
export function hull(plan: Plan, group: Supernode): string {
  const spots = spotsOf(plan, group);
  return spots.length < 2 ? "" : `M${spots.map((s) => `${s.x.toFixed(1)} ${s.y.toFixed(1)}`).join("L")}`;
}

import { batch, computed, signal, type ReadonlySignal } from "@preact/signals";
import { folded, isGoal, matches, onSide, read, type Edge, type Item } from "./graph";
import { arrange, type Plan } from "./layout";
import { createJudging } from "./judging";
import type { ViewState } from "./link";
import type { Memory } from "./memory";
import type { Bundle, On, Side, Supernode } from "./types";

// What is looked at, as signals: the circuit with a person's names and groups, what of it is shown, and where.

export interface Camera {
  k: number;
  x: number;
  y: number;
}

export type View = ReturnType<typeof createView>;

const SHOWN = 80, DRAWN = 120;
const NEAREST = 8;

export function createView(data: Bundle, on: On, memory?: Memory) {
  const counts = { nodes: data.circuit.nodes.score.length, edges: data.circuit.edges.weight.length };
  const swept = sweptMeasures(data);
  const usual = { size: Math.min(counts.nodes, SHOWN), edges: Math.min(counts.edges, DRAWN), measure: swept.includes("faithfulness") ? "faithfulness" : (swept[0] ?? "") };

  const judging = data.verdicts && createJudging(data.verdicts, on);
  const rulings = computed(() => new Map((judging?.units.value ?? []).map((unit) => [unit.address, unit.verdict ?? ""])));
  const before = memory?.read();
  const labels = signal<ReadonlyMap<string, string>>(new Map(before?.labels));
  const groups = signal<Supernode[]>(before?.groups ?? data.circuit.supernodes ?? []);
  const keep = () => memory?.write({ labels: [...labels.value], groups: groups.value });
  const fold = signal(false);
  const base = computed(() => read(data, labels.value, groups.value));
  const graph = computed(() => (fold.value && groups.value.length ? folded(base.value, groups.value) : base.value));
  const items = computed(() => new Map([...graph.value.ranked, graph.value.goal].map((item) => [item.address, item])));

  const size = signal(usual.size), edges = signal(usual.edges), query = signal(""), measure = signal(usual.measure);
  const side = signal<Side | "all">("all");
  const held = signal<string | null>(null), over = signal<string | null>(null);
  const pinned = signal<readonly string[]>([]), selected = signal<readonly string[]>([]);
  /** What is spoken to a person who does not see the graph. */
  const said = signal("");

  const found = (address: string | null): Item | null => (address === null ? null : (items.value.get(address) ?? null));
  const pins = computed(() => pinned.value.map(found).filter((item) => item !== null));
  const visible = computed(() => {
    const some = graph.value.ranked.slice(0, size.value).filter((item) => onSide(item.sides, side.value));
    return [...new Set([...some, ...pins.value])];
  });
  const alive = computed(() => {
    const here: boolean[] = [];
    for (const item of visible.value) here[item.i] = true;
    here[graph.value.goal.i] = true;
    return here;
  });
  const isAlive = (edge: Edge) => Boolean(alive.value[edge.from.i] && alive.value[edge.to.i]) && onSide(edge.sides, side.value);
  const possible = computed(() => graph.value.edges.filter(isAlive));
  const drawn = computed(() => possible.value.slice(0, edges.value));

  const stage = signal({ width: 800, most: 600 });
  const plan: ReadonlySignal<Plan> = computed(() => {
    const { width, most } = stage.value, first = arrange(graph.value, visible.value, possible.value, width);
    const k = Math.max(0.6, Math.min(1, width / first.width, most / first.height));
    return k > 0.95 ? first : arrange(graph.value, visible.value, possible.value, width / k, k);
  });
  const fit = computed((): Camera & { height: number } => {
    const { width, most } = stage.value, p = plan.value;
    const k = Math.max(0.45, Math.min(1, width / p.width, most / p.height));
    const height = Math.min(most, Math.ceil(p.height * k));
    return { k, x: Math.max(0, (width - p.width * k) / 2), y: 0, height };
  });
  const moved = signal<Camera | null>(null);
  const camera = computed(() => moved.value ?? fit.value);

  const hits = computed(() => {
    const asked = query.value.trim().toLowerCase();
    return asked ? graph.value.ranked.filter((item) => matches(item, asked)) : [];
  });
  const focus = computed(() => found(over.value) ?? found(held.value));
  const ties = computed(() => {
    const one = focus.value, some = one && alive.value[one.i] ? [...one.into, ...one.outof] : [];
    return [...new Set([...some, ...pins.value.flatMap((pin) => [...pin.into, ...pin.outof])])].filter(isAlive).slice(0, 400);
  });
  /** What stands in the light while the rest is dim; null where nothing is looked at. */
  const lit = computed((): Set<Item> | null => {
    const one = focus.value, asked = query.value.trim() !== "";
    if (!one && !asked) return null;
    const near = one ? [one, ...ties.value.flatMap((e) => (e.from === one || e.to === one ? [e.from, e.to] : []))] : [];
    return new Set([...near, ...hits.value.filter((item) => alive.value[item.i])]);
  });

  const resize = (n: number) => {
    size.value = Math.min(Math.max(1, Math.round(n)), graph.value.ranked.length);
    const item = found(held.value);
    if (item && !alive.value[item.i]) held.value = null;
  };
  const hold = (item: Item | null) => (held.value = item && !isGoal(item) ? item.address : null);
  /** Holds an item wherever it is, so that it can be seen. */
  const go = (item: Item) => batch(() => {
    if (isGoal(item)) return;
    if (item.rank >= size.value && !pinned.value.includes(item.address)) size.value = item.rank + 1;
    if (!onSide(item.sides, side.value)) side.value = "all";
    held.value = item.address;
    bring(item);
  });
  /** Moves the drawing where the item would be out of sight. */
  const bring = (item: Item) => {
    const spot = plan.value.spots[item.i], { k, x, y } = camera.value, { width } = stage.value, { height } = fit.value;
    if (!spot) return;
    const at = { x: spot.x * k + x, y: spot.y * k + y }, edge = 48;
    if (at.x < edge || at.y < edge / 2 || at.x > width - edge || at.y > height - edge / 2)
      moved.value = { k, x: width / 2 - spot.x * k, y: height / 2 - spot.y * k };
  };
  const toggled = (list: readonly string[], address: string) => (list.includes(address) ? list.filter((a) => a !== address) : [...list, address]);
  const pin = (item: Item) => !isGoal(item) && (pinned.value = toggled(pinned.value, item.address));
  const pick = (item: Item) => !isGoal(item) && (selected.value = toggled(selected.value, item.address));

  const changed = (next: Supernode[]) => {
    groups.value = next;
    keep();
    if (!next.length) fold.value = false;
    on.groups?.(next);
  };
  /** The selected nodes become one supernode; what was in another leaves it. */
  const group = (name: string) => batch(() => {
    const members = selected.value.flatMap((address) => found(address)?.members.map((m) => m.address) ?? []);
    const chosen = [...new Set([...selected.value.filter((a) => found(a)?.members.length === 0), ...members])];
    if (chosen.length < 2) return;
    const rest = groups.value.map((g) => ({ ...g, members: g.members.filter((m) => !chosen.includes(m)) })).filter((g) => g.members.length);
    const called = unlike(name.trim() || nameFor(chosen.map(found)), rest.map((g) => g.name));
    selected.value = [];
    said.value = `${chosen.length} nodes are the supernode ${called}`;
    changed([...rest, { name: called, members: chosen, similarity: null, accepted: null }]);
  });
  const ungroup = (name: string) => batch(() => {
    if (held.value === `supernode ${name}`) held.value = null;
    changed(groups.value.filter((g) => g.name !== name));
  });
  const rename = (item: Item, text: string) => batch(() => {
    const given = text.trim();
    if (item.members.length) {
      const rest = groups.value.filter((g) => g.name !== item.label).map((g) => g.name);
      if (!given || given === item.label) return;
      const called = unlike(given, rest);
      changed(groups.value.map((g) => (g.name === item.label ? { ...g, name: called } : g)));
      held.value = `supernode ${called}`;
    } else {
      labels.value = new Map(labels.value).set(item.key, given);
      keep();
      on.label?.(item.key, given);
    }
  });

  const state = computed((): ViewState => ({
    size: size.value, edges: edges.value, held: held.value, pinned: [...pinned.value], selected: [...selected.value], query: query.value.trim(),
    side: side.value, folded: fold.value, measure: measure.value, camera: moved.value && relative(moved.value),
  }));
  const relative = (c: Camera) => ({
    zoom: c.k / fit.value.k,
    x: (stage.value.width / 2 - c.x) / c.k / plan.value.width,
    y: (fit.value.height / 2 - c.y) / c.k / plan.value.height,
  });
  /** Shows what a link says; nodes that the circuit does not have are passed over. */
  const restore = (said: Partial<ViewState>) => batch(() => {
    if (said.folded !== undefined) fold.value = said.folded && groups.value.length > 0;
    if (said.query !== undefined) query.value = said.query;
    if (said.side) side.value = said.side;
    if (said.measure && swept.includes(said.measure)) measure.value = said.measure;
    if (said.edges !== undefined) edges.value = Math.min(said.edges, counts.edges);
    if (said.size !== undefined) resize(said.size);
    if (said.pinned) pinned.value = said.pinned.filter((a) => items.value.has(a));
    if (said.selected) selected.value = said.selected.filter((a) => items.value.has(a));
    const item = said.held ? (items.value.get(said.held) ?? graph.value.ranked.find((one) => one.key === said.held)) : undefined;
    if (item) go(item);
    if (said.camera) {
      const k = Math.min(NEAREST, said.camera.zoom * fit.value.k), p = plan.value;
      moved.value = { k, x: stage.value.width / 2 - said.camera.x * p.width * k, y: fit.value.height / 2 - said.camera.y * p.height * k };
    }
  });

  /** Enlarges by a factor, with the point (x, y) of the stage staying where it is; false where it is as small as it gets. */
  const zoom = (factor: number, x = stage.value.width / 2, y = fit.value.height / 2): boolean => {
    const now = camera.value, k = Math.min(NEAREST, Math.max(fit.value.k, now.k * factor));
    if (k === now.k) return false;
    moved.value = k <= fit.value.k * 1.001 ? null : { k, x: x - ((x - now.x) * k) / now.k, y: y - ((y - now.y) * k) / now.k };
    return true;
  };
  const pan = (dx: number, dy: number) => {
    const { k, x, y } = camera.value, { width } = stage.value, { height } = fit.value, p = plan.value;
    const within = (v: number, room: number, long: number) => Math.min(room * 0.6, Math.max(room * 0.4 - long, v));
    moved.value = { k, x: within(x + dx, width, p.width * k), y: within(y + dy, height, p.height * k) };
  };

  return {
    data, on, memory, judging, rulings, counts, usual, swept, labels, groups, base, graph, items, size, edges, query, measure, side, fold, held, over, pinned, selected, said, pins,
    visible, alive, possible, drawn, stage, plan, fit, moved, camera, hits, focus, ties, lit, state,
    found, resize, hold, go, bring, pin, pick, changed, group, ungroup, rename, restore, zoom, pan,
  };
}

const unlike = (name: string, taken: readonly string[]): string => {
  for (let n = 2, called = name; ; called = `${name} (${n++})`) if (!taken.includes(called)) return called;
};

const nameFor = (some: readonly (Item | null)[]) => {
  const first = some.find((item) => item !== null);
  return first ? `${first.label || first.key} and ${some.length - 1} more` : "a supernode";
};

/** Measures of the report that were taken at several sizes. */
function sweptMeasures(data: Bundle): string[] {
  const rows = data.report?.rows ?? [];
  return [...new Set(rows.map((r) => r.measure))].filter((m) => new Set(rows.filter((r) => r.measure === m && (r.nodes ?? 0) > 0).map((r) => r.nodes)).size > 1);
}

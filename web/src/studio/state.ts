// What several views look at: what the server offers, what the folder holds, what runs.
import { computed, effect, signal } from "@preact/signals";
import { get, Problem } from "./api";
import type { About, Item, Run } from "./types";

export const about = signal<About | null>(null);
export const items = signal<Item[] | null>(null);
export const runs = signal<Run[]>([]);
/** What keeps the studio from being read, in a sentence. */
export const trouble = signal("");
/** Whether the server tells what changes; where not, it is tried again. */
export const connected = signal(true);
/** What a screen reader is told without a move of the focus. */
export const announced = signal("");

export const busy = computed(() => runs.value.filter((run) => run.state === "running" || run.state === "waiting"));

const never = new AbortController().signal;

/** What there is now, in the folder and to work with: each as soon as it is known. */
export async function refresh(): Promise<void> {
  await Promise.all([
    get<Item[]>("items", {}, never).then((now) => (items.value = now)),
    get<About>("about", {}, never).then((now) => (about.value = now)),
  ]);
}

/** The same in passing: where it is not known, what was known stays. */
export const glance = (): void => void refresh().catch(() => undefined);

/** When it is known what is here, and under which names. */
export function listed(): Promise<void> {
  return new Promise((known) => {
    const dispose = effect(() => {
      if (!about.value || !items.value) return;
      known();
      queueMicrotask(() => dispose());
    });
  });
}

/** Of these kinds, those that can be read. */
export function itemsOf(...kinds: string[]): Item[] {
  return (items.value ?? []).filter((item) => kinds.includes(item.kind) && !item.problem);
}

export async function begin(): Promise<void> {
  try {
    const [known] = await Promise.all([get<Run[]>("runs", {}, never), refresh()]);
    runs.value = known.map(heard);
    trouble.value = "";
    follow();
  } catch (error) {
    trouble.value = error instanceof Problem ? error.message : String(error);
  }
}

const times = new WeakMap<Run, number>();

function heard(run: Run): Run {
  times.set(run, performance.now());
  return run;
}

/** When a run was told of like this, in milliseconds of the page. */
export const heardAt = (run: Run): number => times.get(run) ?? performance.now();

/** A run as it is now, in place of what was known of it; what it made is in the folder then. */
export function met(run: Run): void {
  heard(run);
  const before = runs.peek().find((one) => one.id === run.id);
  runs.value = before ? runs.peek().map((one) => (one === before ? run : one)) : [run, ...runs.peek()];
  if (before?.state === run.state || run.state === "running" || run.state === "waiting") return;
  announced.value = `${run.title}: ${run.state}`;
  glance();
}

const forget = (id: string): void => void (runs.value = runs.peek().filter((run) => run.id !== id));

const FIRST = 1000;
const LONGEST = 20_000;

/** Hear of every run as it is, then of every change; after a break again. */
function follow(wait = FIRST): void {
  const source = new EventSource("/api/runs/events");
  source.onopen = () => {
    wait = FIRST;
    connected.value = true;
  };
  source.addEventListener("run", (event) => met(JSON.parse(event.data) as Run));
  source.addEventListener("gone", (event) => forget(JSON.parse(event.data) as string));
  source.onerror = () => {
    connected.value = false;
    source.close();
    setTimeout(() => follow(Math.min(2 * wait, LONGEST)), wait);
  };
}

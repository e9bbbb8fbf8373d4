// Where one is: a view and what it shows, kept in the hash of the address, so that it can be linked, reloaded and gone back from.
import { computed, signal } from "@preact/signals";

export const VIEWS = ["start", "circuit", "unit", "prompt", "change", "verify", "runs", "atlas"] as const;
export type ViewName = (typeof VIEWS)[number];
export type Params = Readonly<Record<string, string>>;

export interface Route {
  view: ViewName;
  params: Params;
}

export function parse(hash: string): Route {
  const [name = "", query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const view = VIEWS.find((known) => known === name) ?? "start";
  return { view, params: Object.fromEntries(new URLSearchParams(query)) };
}

/** The hash of a view; what is empty is left out. */
export function href(view: ViewName, params: Params = {}): string {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== "")).toString();
  return `#${view}${query && `?${query}`}`;
}

export const route = signal<Route>(parse(location.hash));
export const view = computed(() => route.value.view);
export const params = computed(() => route.value.params);

addEventListener("hashchange", () => (route.value = parse(location.hash)));

/** Go to a view: a step that the browser's Back undoes. */
export function go(to: ViewName, given: Params = {}): void {
  location.hash = href(to, given);
}

/** Say more, or something else, of what the present view shows, without a step of its own; nothing once a step is on its way. */
export function note(changes: Params): void {
  const { view, params } = route.peek();
  if (JSON.stringify(parse(location.hash)) !== JSON.stringify(route.peek())) return;
  const next = href(view, { ...params, ...changes });
  if (next === location.hash) return;
  history.replaceState(null, "", next);
  route.value = parse(next);
}

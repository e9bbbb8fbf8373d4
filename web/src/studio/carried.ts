// What one takes along from view to view: where one was there before, the model that was looked at last, the circuit to verify.
import { effect, signal } from "@preact/signals";
import { type Params, route, type ViewName } from "./route";
import { looked } from "./seen";

const left = signal<Partial<Record<ViewName, Params>>>({});
let seen: Params = {};

effect(() => {
  const { view, params } = route.value;
  carry(view, params);
  if (params.model) seen = looked(params);
});

/** What a view shows when one comes to it next, in place of what it showed before. */
export function carry(to: ViewName, params: Params): void {
  left.value = { ...left.peek(), [to]: params };
}

const LOOKING: readonly ViewName[] = ["unit", "prompt", "change"];

export function carried(to: ViewName): Params {
  const before = left.value[to] ?? {};
  return LOOKING.includes(to) ? { ...before, ...seen } : before;
}

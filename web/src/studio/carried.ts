// What one takes along from view to view: where one was there before, and the model that was looked at last.
import { effect } from "@preact/signals";
import { type Params, route, type ViewName } from "./route";
import { looked } from "./seen";

const left = new Map<ViewName, Params>();
let seen: Params = {};

effect(() => {
  const { view, params } = route.value;
  left.set(view, params);
  if (params.model) seen = looked(params);
});

const LOOKING: readonly ViewName[] = ["unit", "prompt", "change"];

export function carried(to: ViewName): Params {
  const before = left.get(to) ?? {};
  return LOOKING.includes(to) ? { ...before, ...seen } : before;
}

import { batch } from "@preact/signals";
import type { Item } from "./graph";
import type { View } from "./view";

// The keyboard. A node that has the focus is walked from; else the arrows move the drawing.

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 80;

const typing = (target: EventTarget | null) => target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);

const nodeOf = (item: Item) => document.querySelector<SVGGElement>(`#graph .node[data-i="${item.i}"]`);

function focused(view: View): Item | null {
  const index = document.activeElement?.closest<SVGGElement>("#graph .node")?.dataset.i;
  return index === undefined ? null : (view.graph.peek().ranked.find((item) => String(item.i) === index) ?? null);
}

/** The nearest shown node in a direction. */
function beside(view: View, item: Item, [dx, dy]: [number, number]): Item | null {
  const { spots, shown } = view.plan.peek(), from = spots[item.i]!;
  let best: Item | null = null, least = Infinity;
  for (const other of shown) {
    const to = spots[other.i]!, along = (to.x - from.x) * dx + (to.y - from.y) * dy;
    const cost = along + 2.5 * (Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx));
    if (other !== item && along > 0.5 && cost < least) [best, least] = [other, cost];
  }
  return best;
}

/** Holds a node and gives it the focus. */
export function visit(view: View, item: Item) {
  view.go(item);
  requestAnimationFrame(() => {
    const node = nodeOf(view.found(item.address) ?? item);
    node?.focus({ preventScroll: true });
    document.getElementById("stage")?.scrollIntoView({ block: "nearest" });
  });
}

function walk(view: View, item: Item, direction: [number, number], selects: boolean) {
  const next = beside(view, item, direction);
  if (!next) return;
  if (selects) view.selected.value = [...new Set([...view.selected.peek(), item.address, next.address])];
  view.bring(next);
  const node = nodeOf(next);
  for (const other of document.querySelectorAll("#graph .node[tabindex='0']")) other.setAttribute("tabindex", "-1");
  node?.setAttribute("tabindex", "0");
  node?.focus({ preventScroll: true });
}

/** What one key does; false where it does nothing. */
export function press(view: View, event: KeyboardEvent): boolean {
  if (typing(event.target) || event.altKey || ((event.ctrlKey || event.metaKey) && event.key !== "Enter")) return false;
  const item = focused(view), one = item ?? view.found(view.held.peek()), arrow = ARROWS[event.key];
  const inside = Boolean(document.activeElement?.closest(".stage"));
  if (item && arrow) walk(view, item, arrow, event.shiftKey);
  else if (arrow && inside) view.pan(-arrow[0] * STEP, -arrow[1] * STEP);
  else if (event.key === "/") document.getElementById("query")?.focus();
  else if (event.key === "Escape") leave(view);
  else if (item && (event.key === "Enter" || event.key === " ")) view.hold(view.held.peek() === item.address ? null : item);
  else if (event.key === "+" || event.key === "=") view.zoom(1.4);
  else if (event.key === "-") view.zoom(1 / 1.4);
  else if (event.key === "0") view.moved.value = null;
  else if (event.key === "p" && one) view.pin(one);
  else if (event.key === "x" && one) view.pick(one);
  else if (event.key === "g" && view.selected.peek().length) document.getElementById("group-name")?.focus();
  else if (event.key === "f" && view.groups.peek().length) view.fold.value = !view.fold.peek();
  else return false;
  return true;
}

/** One thing after the other: what is held, then what is selected. */
function leave(view: View) {
  batch(() => {
    if (view.held.peek() === null && !(document.activeElement?.closest(".node"))) view.selected.value = [];
    view.held.value = null;
    view.over.value = null;
  });
  (document.activeElement as HTMLElement | null)?.blur();
}

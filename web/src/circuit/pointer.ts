import { batch, useSignal, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Item } from "./graph";
import type { View } from "./view";

// Mouse, pen and fingers on the stage: drag moves, wheel and two fingers zoom, Shift and drag selects.

const STILL = 4, SCROLLING = 350;

export type Rectangle = {
  left: string;
  top: string;
  width: string;
  height: string;
};

export function usePointer(view: View, box: { current: HTMLDivElement | null }): Signal<Rectangle | null> {
  const rectangle = useSignal<Rectangle | null>(null);
  useEffect(() => {
    const stage = box.current!, fingers = new Map<number, { x: number; y: number }>(), stop = new AbortController();
    let start: { x: number; y: number; selects: boolean; moved: boolean } | null = null, scrolled = 0;
    const listen = <K extends keyof HTMLElementEventMap>(name: K, act: (event: HTMLElementEventMap[K]) => void, options = {}) =>
      stage.addEventListener(name, act, { signal: stop.signal, ...options });
    const at = (event: MouseEvent) => {
      const frame = stage.getBoundingClientRect();
      return { x: event.clientX - frame.left, y: event.clientY - frame.top };
    };
    const itemOf = (event: Event): Item | null => {
      const node = (event.target as Element).closest<SVGElement>("[data-i]");
      return node ? ([...view.items.peek().values()].find((item) => String(item.i) === node.dataset.i) ?? null) : null;
    };

    listen("pointerdown", (event) => {
      if (event.button !== 0 || (event.target as Element).closest("button")) return;
      fingers.set(event.pointerId, at(event));
      start = fingers.size === 1 ? { ...at(event), selects: event.shiftKey, moved: false } : start && { ...start, moved: true };
    });
    listen("pointermove", (event) => {
      const before = fingers.get(event.pointerId), now = at(event);
      if (!before || !start) return;
      if (!start.moved && Math.hypot(now.x - start.x, now.y - start.y) < STILL) return;
      if (!start.moved) stage.setPointerCapture(event.pointerId);
      start.moved = true;
      fingers.set(event.pointerId, now);
      if (fingers.size === 2) {
        const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, spot]) => spot);
        const was = Math.hypot(before.x - other!.x, before.y - other!.y), is = Math.hypot(now.x - other!.x, now.y - other!.y);
        view.zoom(is / Math.max(1, was), (now.x + other!.x) / 2, (now.y + other!.y) / 2);
      } else if (start.selects) rectangle.value = between(start, now);
      else view.pan(now.x - before.x, now.y - before.y);
    });
    const lift = (event: PointerEvent) => {
      if (!fingers.delete(event.pointerId) || !start || fingers.size) return;
      if (start.selects && start.moved) select(view, start, at(event));
      rectangle.value = null;
      setTimeout(() => (start = null)); // the click that ends a movement holds nothing; the next one does
    };
    listen("pointerup", lift);
    listen("pointercancel", lift);
    listen("click", (event) => {
      const item = itemOf(event);
      if (start?.moved || (event.target as Element).closest("button")) return;
      if (item && event.shiftKey) view.pick(item);
      else if (item && (event.metaKey || event.ctrlKey)) view.pin(item);
      else view.hold(item && view.held.peek() !== item.address ? item : null);
    });
    listen("pointerover", (event) => {
      if (event.pointerType !== "touch" && !fingers.size) view.over.value = itemOf(event)?.address ?? null;
    });
    listen("pointerleave", () => (view.over.value = null));
    listen("focusin", (event) => (view.over.value = itemOf(event)?.address ?? null));
    listen("focusout", () => (view.over.value = null));
    // A wheel that scrolls the page goes on scrolling it when the stage comes under it.
    listen("wheel", (event) => {
      if (performance.now() - scrolled < SCROLLING && !event.ctrlKey) return;
      const { x, y } = at(event), step = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016) * (event.ctrlKey ? 4 : 1));
      if (view.zoom(step, x, y) || event.ctrlKey) event.preventDefault();
    }, { passive: false });
    addEventListener("scroll", () => (scrolled = performance.now()), { signal: stop.signal, passive: true });
    return () => stop.abort();
  }, [view]);
  return rectangle;
}

type Spot = { x: number; y: number };

const between = (a: Spot, b: Spot): Rectangle => ({
  left: `${Math.min(a.x, b.x)}px`, top: `${Math.min(a.y, b.y)}px`, width: `${Math.abs(a.x - b.x)}px`, height: `${Math.abs(a.y - b.y)}px`,
});

/** Adds the nodes inside a rectangle of the stage to what is selected. */
function select(view: View, a: Spot, b: Spot) {
  const { k, x, y } = view.camera.peek(), plan = view.plan.peek();
  const inside = plan.shown.filter((item) => {
    const spot = plan.spots[item.i]!, sx = spot.x * k + x, sy = spot.y * k + y;
    return sx >= Math.min(a.x, b.x) && sx <= Math.max(a.x, b.x) && sy >= Math.min(a.y, b.y) && sy <= Math.max(a.y, b.y);
  });
  batch(() => {
    view.selected.value = [...new Set([...view.selected.peek(), ...inside.map((item) => item.address)])];
    view.said.value = `${inside.length} nodes selected`;
  });
}

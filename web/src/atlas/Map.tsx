import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { plural, shown } from "../card/words";
import type { Browse } from "./browse";
import type { Row } from "./find";
import { dots, draw, FURTHEST, onwards, planned, under, type Camera, type Colours, type Dot } from "./dots";
import { number } from "./words";

const STILL = 4, STEP = 1.35, MARGIN = 40, SCROLLING = 350;
const TO: Record<string, [dx: number, dy: number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** All behaviours as dots: like ones stand near each other. A pointer or the arrow keys say which one is meant. */
export function Map({ browse }: { browse: Browse }) {
  const canvas = useRef<HTMLCanvasElement>(null), size = useSignal({ width: 0, height: 0 }), theme = useSignal(0);
  const camera = useSignal<Camera | null>(null), over = useSignal<Row | undefined>(undefined);
  const plan = useComputed(() => planned(browse.rows, size.value.width, size.value.height));
  const all = useComputed(() => dots(plan.value, camera.value ?? { zoom: 1, ...plan.value.middle }));
  const within = useComputed(() => new Set(browse.found.value));
  const reachable = () => all.peek().filter(({ row }) => within.peek().has(row));

  useEffect(() => {
    const element = canvas.current!, dark = matchMedia("(prefers-color-scheme: dark)"), stop = new AbortController();
    const watch = new ResizeObserver(() => (size.value = { width: element.clientWidth, height: element.clientHeight }));
    watch.observe(element);
    dark.addEventListener("change", () => theme.value++, { signal: stop.signal });
    return () => {
      watch.disconnect();
      stop.abort();
    };
  }, []);
  useSignalEffect(() => {
    const { width, height } = size.value, now = all.value, seen = within.value, marked = over.value;
    const rings = [browse.chosen.value, browse.beside.value].map((id) => (id === null ? undefined : browse.byId.get(id)));
    void theme.value;
    const frame = requestAnimationFrame(() => {
      const element = canvas.current, fine = devicePixelRatio || 1;
      if (!element || !width || !height) return;
      if (element.width !== Math.round(width * fine) || element.height !== Math.round(height * fine)) {
        element.width = Math.round(width * fine);
        element.height = Math.round(height * fine);
      }
      const on = element.getContext("2d")!;
      on.setTransform(fine, 0, 0, fine, 0, 0);
      draw(on, plan.peek(), now, { within: seen, rings, over: marked }, coloursOf(element));
    });
    return () => cancelAnimationFrame(frame);
  });

  const zoom = (by: number, x = size.peek().width / 2, y = size.peek().height / 2): boolean => {
    const before = camera.peek() ?? { zoom: 1, ...plan.peek().middle }, next = Math.min(FURTHEST, Math.max(1, before.zoom * by));
    if (next === before.zoom) return false;
    const k = plan.peek().scale, shift = (1 / before.zoom - 1 / next) / k;
    camera.value = next === 1 ? null : { zoom: next, x: before.x + (x - size.peek().width / 2) * shift, y: before.y + (y - size.peek().height / 2) * shift };
    return true;
  };
  const pan = (dx: number, dy: number) => {
    const before = camera.peek();
    if (!before) return;
    const k = plan.peek().scale * before.zoom;
    camera.value = { ...before, x: before.x - dx / k, y: before.y - dy / k };
  };
  const mean = (dot: Dot | undefined) => {
    over.value = dot?.row;
    if (!dot) return;
    browse.said.value = said(dot.row);
    const { width, height } = size.peek();
    pan(Math.min(0, width - MARGIN - dot.x) + Math.max(0, MARGIN - dot.x), Math.min(0, height - MARGIN - dot.y) + Math.max(0, MARGIN - dot.y));
  };
  const pressed = (event: KeyboardEvent) => {
    const { key } = event, step = TO[key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) {
      const there = reachable(), from = there.find(({ row }) => row === (over.peek() ?? browse.byId.get(browse.chosen.peek() ?? -1)));
      mean(from ? (onwards(there, from, ...step) ?? from) : there[0]);
    } else if (key === "Enter" && over.peek()) browse.choose(over.peek()!.of.id);
    else if (key === "Escape" && (over.peek() || browse.chosen.peek() !== null)) {
      over.value = undefined;
      browse.choose(null);
    } else if (key === "+" || key === "=") zoom(STEP);
    else if (key === "-") zoom(1 / STEP);
    else if (key === "0") camera.value = null;
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  usePointer(canvas, { zoom, pan, over: (x, y) => (over.value = under(reachable(), x, y)?.row), choose: (x, y, near) => {
    const dot = under(reachable(), x, y, near);
    if (dot || browse.beside.peek() === null) browse.choose(dot?.row.of.id ?? null);
  } });

  return (
    <figure class={camera.value ? "map moved" : "map"}>
      <canvas
        ref={canvas} tabIndex={0} role="application" aria-roledescription="map" onKeyDown={pressed} onBlur={() => (over.value = undefined)}
        aria-label={`A map of ${plural(browse.rows.length, "behaviour")}. Arrows go to the next one, Enter opens it, plus and minus zoom, Escape lets go. The list has the same.`}
      />
      <Tip browse={browse} of={over.value} />
      <div class="zoom">
        <button type="button" aria-label="Zoom in" onClick={() => zoom(STEP)}>+</button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(1 / STEP)}>−</button>
        <button type="button" aria-label="See the whole map" onClick={() => (camera.value = null)}>⤢</button>
      </div>
      <figcaption><Legend /></figcaption>
    </figure>
  );
}

const said = ({ of, title, faithfulness }: Row): string =>
  `${title}: ${plural(of.like.size, "context")}, ${faithfulness === null ? "no circuit" : `faithfulness ${number(faithfulness)}`}${of.like.trivial ? ", trivial" : ""}`;

const Tip = ({ browse, of }: { browse: Browse; of: Row | undefined }) =>
  of && of.of.id !== browse.chosen.value ? <p class="tip" aria-hidden="true"><b>{shown(of.title)}</b> {said(of).slice(of.title.length + 2)}</p> : null;

const Legend = () => (
  <>
    <span><i class="scale" aria-hidden="true" />faithfulness, 0 to 1</span>
    <span><i class="dot trivial" aria-hidden="true" />trivial: a table of pairs of tokens would do as well</span>
    <span><i class="dot open" aria-hidden="true" />no circuit</span>
    <span>area: contexts; paler: joined with another</span>
  </>
);

function coloursOf(element: HTMLElement): Colours {
  const style = getComputedStyle(element), of = (name: string) => style.getPropertyValue(name).trim();
  return { low: of("--low"), high: of("--high"), trivial: of("--trivial"), ink: of("--ink"), sheet: of("--sheet"), soft: of("--soft"), font: `500 12px ${style.fontFamily}` };
}

interface Acts {
  zoom(by: number, x: number, y: number): boolean;
  pan(dx: number, dy: number): void;
  over(x: number, y: number): void;
  choose(x: number, y: number, near: number): void;
}

/** Drag moves, wheel and two fingers zoom, a click chooses. */
function usePointer(canvas: { current: HTMLCanvasElement | null }, acts: Acts) {
  const latest = useRef(acts);
  latest.current = acts;
  useEffect(() => {
    const element = canvas.current!, stop = new AbortController(), fingers = new globalThis.Map<number, Spot>();
    let moved = false, scrolled = 0, start: Spot | null = null;
    const at = (event: MouseEvent): Spot => {
      const frame = element.getBoundingClientRect();
      return { x: event.clientX - frame.left, y: event.clientY - frame.top };
    };
    const listen = <K extends keyof HTMLElementEventMap>(name: K, act: (event: HTMLElementEventMap[K]) => void, options = {}) => element.addEventListener(name, act, { signal: stop.signal, ...options });
    listen("pointerdown", (event) => {
      if (event.button !== 0) return;
      fingers.set(event.pointerId, at(event));
      start = at(event);
      moved = fingers.size > 1;
    });
    listen("pointermove", (event) => {
      const before = fingers.get(event.pointerId), now = at(event);
      if (!before) {
        if (event.pointerType !== "touch") latest.current.over(now.x, now.y);
        return;
      }
      if (!moved && Math.hypot(now.x - start!.x, now.y - start!.y) < STILL) return;
      if (!moved) element.setPointerCapture(event.pointerId);
      moved = true;
      fingers.set(event.pointerId, now);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (!other) latest.current.pan(now.x - before.x, now.y - before.y);
      else latest.current.zoom(Math.hypot(now.x - other.x, now.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y)), (now.x + other.x) / 2, (now.y + other.y) / 2);
    });
    listen("pointerup", (event) => {
      if (fingers.delete(event.pointerId) && !moved) latest.current.choose(at(event).x, at(event).y, event.pointerType === "touch" ? 16 : 4);
    });
    listen("pointercancel", (event) => fingers.delete(event.pointerId));
    listen("pointerleave", () => latest.current.over(-1e6, -1e6));
    // A wheel that scrolls the page goes on scrolling it when the map comes under it.
    listen("wheel", (event) => {
      if (performance.now() - scrolled < SCROLLING && !event.ctrlKey) return;
      const { x, y } = at(event), step = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016) * (event.ctrlKey ? 4 : 1));
      if (latest.current.zoom(step, x, y) || event.ctrlKey) event.preventDefault();
    }, { passive: false });
    addEventListener("scroll", () => (scrolled = performance.now()), { signal: stop.signal, passive: true });
    return () => stop.abort();
  }, []);
}

type Spot = { x: number; y: number };

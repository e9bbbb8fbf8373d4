import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { colourOf, type Edge, type Graph } from "./graph";
import { curve, inkOf, widthOf, type Plan } from "./layout";
import type { Camera, View } from "./view";

// The strongest edges on a canvas that lies in the drawing and moves with it. It is drawn again only where what it holds
// is another, or no longer reaches as far as can be seen; at rest, and a few milliseconds a frame, so that thousands of them
// never hold up a movement.

const REST = 180, SLICE = 7, TOGETHER = 40, SHADES = 10, MARGIN = 0.5;

interface Job {
  edges: readonly Edge[];
  graph: Graph;
  plan: Plan;
  camera: Camera;
  width: number;
  height: number;
  night: boolean;
}

/** What a canvas holds: a part of the drawing. */
interface Held extends Omit<Job, "camera" | "width" | "height"> {
  k: number;
  left: number;
  top: number;
  wide: number;
  high: number;
}

export function Edges({ view }: { view: View }) {
  const canvas = useRef<HTMLCanvasElement>(null), held = useRef<Held | null>(null), night = useNight();
  useSignalEffect(() => {
    const { drawn, graph, plan, camera, stage, fit } = view;
    const job: Job = { edges: drawn.value, graph: graph.value, plan: plan.value, camera: camera.value, width: stage.value.width, height: fit.value.height, night: night.value };
    if (!canvas.current || (held.current && shows(held.current, job))) return;
    let frame = 0;
    const wait = setTimeout(() => {
      if (!canvas.current) return; // the view was left
      const { draw, part } = drawing(canvas.current, job);
      const step = () => {
        const made = draw();
        if (!canvas.current) return;
        if (made) {
          put(canvas.current, made, part);
          held.current = part;
        } else frame = requestAnimationFrame(step);
      };
      step();
    }, held.current && view.moved.peek() ? REST : 0);
    return () => {
      clearTimeout(wait);
      cancelAnimationFrame(frame);
    };
  });
  return <div class={`edges ${view.lit.value ? "dim" : ""}`}><canvas ref={canvas} aria-hidden="true" /></div>;
}

/** Puts what was drawn where it belongs in the drawing. */
function put(canvas: HTMLCanvasElement, made: OffscreenCanvas, { left, top, wide, high }: Held) {
  canvas.width = made.width;
  canvas.height = made.height;
  Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${wide}px`, height: `${high}px` });
  canvas.getContext("2d")!.drawImage(made, 0, 0);
}

/** Whether the colours are those of the night. */
function useNight() {
  const night = useSignal(false);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)"), tell = () => (night.value = dark.matches);
    tell();
    dark.addEventListener("change", tell);
    return () => dark.removeEventListener("change", tell);
  }, []);
  return night;
}

const shows = (held: Held, job: Job) =>
  held.edges === job.edges && held.graph === job.graph && held.plan === job.plan && held.night === job.night && held.k === job.camera.k && reaches(held, job);

/** Whether all of the drawing that can be seen lies in what is held. */
function reaches({ left, top, wide, high, plan }: Held, { camera: { k, x, y }, width, height }: Job): boolean {
  const seen = { left: Math.max(0, -x / k), top: Math.max(0, -y / k), right: Math.min(plan.width, (width - x) / k), bottom: Math.min(plan.height, (height - y) / k) };
  return seen.left >= left && seen.top >= top && seen.right <= left + wide && seen.bottom <= top + high;
}

/** Each call of `draw` draws some edges, out of sight, and gives the picture when all are there. */
function drawing(like: HTMLCanvasElement, { camera, width, height, ...what }: Job): { draw: () => OffscreenCanvas | null; part: Held } {
  const { k } = camera, { edges, graph, plan } = what, fine = devicePixelRatio || 1;
  const left = Math.max(-20, (-camera.x - MARGIN * width) / k), top = Math.max(-20, (-camera.y - MARGIN * height) / k);
  const wide = Math.min(plan.width + 20 - left, ((1 + 2 * MARGIN) * width) / k), high = Math.min(plan.height + 20 - top, ((1 + 2 * MARGIN) * height) / k);
  const canvas = new OffscreenCanvas(Math.ceil(wide * k * fine), Math.ceil(high * k * fine));
  // What is asked back is drawn at once, and not all of it when the picture is put in place.
  const ink = canvas.getContext("2d", { willReadFrequently: true })!, colours = getComputedStyle(like), batches = shades(edges, graph);
  ink.setTransform(k * fine, 0, 0, k * fine, -left * k * fine, -top * k * fine);
  ink.lineCap = "round";
  const draw = () => {
    const until = performance.now() + SLICE;
    while (batches.length && performance.now() < until) {
      const some = batches.pop()!, strongest = some[0]!, path = new Path2D();
      for (const edge of some) path.addPath(new Path2D(curve(graph, plan, edge)));
      ink.strokeStyle = colours.getPropertyValue(`--${colourOf(strongest, strongest.weight)}`);
      ink.globalAlpha = inkOf(graph, strongest);
      ink.lineWidth = widthOf(graph, strongest);
      ink.stroke(path);
      ink.getImageData(0, 0, 1, 1);
    }
    return batches.length ? null : canvas;
  };
  return { draw, part: { ...what, k, left, top, wide, high } };
}

/** Edges that are drawn alike, by colour and strength, a few together, strongest first. */
function shades(edges: readonly Edge[], graph: Graph): Edge[][] {
  const alike = new Map<string, Edge[]>(), batches: Edge[][] = [];
  for (const edge of edges) {
    const shade = Math.round(SHADES * Math.sqrt(edge.strength / graph.strongest));
    const key = `${colourOf(edge, edge.weight)} ${shade} ${edge.to === graph.goal}`;
    const batch = alike.get(key);
    if (batch && batch.length < TOGETHER) batch.push(edge);
    else {
      const fresh = [edge];
      alike.set(key, fresh);
      batches.push(fresh);
    }
  }
  return batches;
}

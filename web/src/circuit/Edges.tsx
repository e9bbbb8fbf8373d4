import { useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { colourOf, type Edge, type Graph } from "./graph";
import { curve, inkOf, widthOf, type Plan } from "./layout";
import type { Camera, View } from "./view";

// The strongest edges on a canvas that lies in the drawing and moves with it. It is drawn again only when the drawing
// has come to rest, a few milliseconds at a time, so that thousands of edges never hold up a movement.

const REST = 140, SLICE = 9, SHADES = 10, MARGIN = 0.5;

export function Edges({ view }: { view: View }) {
  const old = useRef<HTMLCanvasElement>(null), next = useRef<HTMLCanvasElement>(null);
  const pair = useRef<[HTMLCanvasElement, HTMLCanvasElement] | null>(null);
  useSignalEffect(() => {
    const { drawn, graph, plan, camera, stage, fit } = view;
    const job = { edges: drawn.value, graph: graph.value, plan: plan.value, camera: camera.value, width: stage.value.width, height: fit.value.height };
    if (!old.current || !next.current) return;
    pair.current ??= [old.current, next.current];
    let frame = 0;
    const wait = setTimeout(() => {
      const [front, back] = pair.current!;
      const draw = drawing(back, job);
      const step = () => {
        if (draw()) frame = requestAnimationFrame(step);
        else {
          front.style.visibility = "hidden";
          back.style.visibility = "visible";
          pair.current = [back, front];
        }
      };
      step();
    }, view.moved.peek() ? REST : 0);
    return () => {
      clearTimeout(wait);
      cancelAnimationFrame(frame);
    };
  });
  // An edge's colours change with the time of day.
  return (
    <div class={`edges ${view.lit.value ? "dim" : ""}`}>
      <canvas ref={old} aria-hidden="true" />
      <canvas ref={next} aria-hidden="true" />
    </div>
  );
}

interface Job {
  edges: readonly Edge[];
  graph: Graph;
  plan: Plan;
  camera: Camera;
  width: number;
  height: number;
}

/** Prepares the canvas; each call of what comes out draws some edges and says whether there are more. */
function drawing(canvas: HTMLCanvasElement, { edges, graph, plan, camera, width, height }: Job): () => boolean {
  const { k } = camera, fine = devicePixelRatio || 1;
  const left = Math.max(-20, -camera.x / k - (MARGIN * width) / k), top = Math.max(-20, -camera.y / k - (MARGIN * height) / k);
  const wide = Math.min(plan.width + 40, ((1 + 2 * MARGIN) * width) / k), high = Math.min(plan.height + 40, ((1 + 2 * MARGIN) * height) / k);
  canvas.width = Math.ceil(wide * k * fine);
  canvas.height = Math.ceil(high * k * fine);
  Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${wide}px`, height: `${high}px` });
  const ink = canvas.getContext("2d")!, colours = getComputedStyle(canvas), batches = shades(edges, graph);
  ink.setTransform(k * fine, 0, 0, k * fine, -left * k * fine, -top * k * fine);
  ink.lineCap = "round";
  return () => {
    const until = performance.now() + SLICE;
    for (let one = batches.pop(); one; one = batches.pop()) {
      const path = new Path2D();
      for (const edge of one) path.addPath(new Path2D(curve(graph, plan, edge)));
      const strongest = one[0]!;
      ink.strokeStyle = colours.getPropertyValue(`--${colourOf(strongest, strongest.weight)}`);
      ink.globalAlpha = inkOf(graph, strongest);
      ink.lineWidth = widthOf(graph, strongest);
      ink.stroke(path);
      if (performance.now() > until) break;
    }
    return batches.length > 0;
  };
}

/** Edges that are drawn alike, by colour and strength, at most 60 at a time, strongest first. */
function shades(edges: readonly Edge[], graph: Graph): Edge[][] {
  const alike = new Map<string, Edge[]>(), batches: Edge[][] = [];
  for (const edge of edges) {
    const shade = Math.round(SHADES * Math.sqrt(edge.strength / graph.strongest));
    const key = `${colourOf(edge, edge.weight)} ${shade} ${edge.to === graph.goal}`;
    const batch = alike.get(key);
    if (batch && batch.length < 60) batch.push(edge);
    else {
      const fresh = [edge];
      alike.set(key, fresh);
      batches.push(fresh);
    }
  }
  return batches;
}

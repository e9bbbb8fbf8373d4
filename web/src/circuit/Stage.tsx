import { useComputed, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Axis } from "./Axis";
import { Edges } from "./Edges";
import { Ground, groupNames } from "./Ground";
import { Legend } from "./Legend";
import { Lit } from "./Lit";
import { Goal, Nodes } from "./Nodes";
import { names } from "./names";
import { usePointer } from "./pointer";
import type { View } from "./view";

const LETTERS = 12, REST = 250;

/** The circuit as a drawing that can be moved: layers by positions. */
export function Stage({ view }: { view: View }) {
  const box = useRef<HTMLDivElement>(null), world = useRef<HTMLDivElement>(null);
  useSize(view, box);
  const rectangle = usePointer(view, box);
  // Moving the drawing is one transform of one element; nothing is drawn again.
  useSignalEffect(() => {
    const { k, x, y } = view.camera.value, { style } = world.current!;
    style.transform = `translate(${x}px, ${y}px) scale(${k})`;
    style.willChange = "transform";
    const rest = setTimeout(() => (style.willChange = "auto"), REST);
    return () => clearTimeout(rest);
  });
  useRoving(view, box);
  const moved = useComputed(() => view.moved.value !== null);
  const { width, height } = view.plan.value;
  const frame = { class: "sheet", viewBox: `0 0 ${width} ${height}`, width, height };
  return (
    <figure id="stage" aria-label="The circuit">
      <div class={`stage ${moved.value ? "moved" : ""}`} ref={box} tabIndex={0} role="group" style={{ height: `${view.fit.value.height}px` }}
        aria-label="Circuit graph: rows are layers from bottom to top, columns are tokens. Arrow keys move the drawing, and between nodes once a node has the focus; plus and minus zoom, 0 fits.">
        <div class="world" ref={world}>
          <svg {...frame} aria-hidden="true"><Ground graph={view.graph.value} plan={view.plan.value} groups={view.groups.value} /></svg>
          <Edges view={view} />
          <Drawing view={view} frame={frame} />
        </div>
        <Axis view={view} of="sites" />
        {rectangle.value && <div class="rectangle" style={rectangle.value} />}
        <ZoomButtons view={view} />
      </div>
      {view.graph.value.words.length > 0 && <Axis view={view} of="words" />}
      <Legend view={view} />
    </figure>
  );
}

function Drawing({ view, frame }: { view: View; frame: Record<string, string | number> }) {
  const graph = view.graph.value, plan = view.plan.value;
  // Letters keep about their size on the screen, whatever that of the drawing: enlarged, it has room for more names.
  const size = useComputed(() => LETTERS / Math.max(0.6, Math.min(3, 2 ** (Math.round(4 * Math.log2(view.camera.value.k)) / 4))));
  const placed = useComputed(() => names(view.graph.value, view.plan.value, size.value, [view.focus.value, ...view.pins.value].filter((item) => item !== null)));
  const dim = view.lit.value ? "dim" : "";
  return (
    <>
      <svg {...frame} id="graph" role="group" aria-label="Nodes">
        <g class={dim}>
          <Nodes graph={graph} plan={plan} verdicts={view.rulings.value} />
          <g aria-hidden="true">{placed.value.map((name) => <text key={name.item.i} class="name" x={name.x} y={name.y} text-anchor={name.anchor} font-size={size.value}>{name.text}</text>)}</g>
        </g>
        <g class="groupnames" aria-hidden="true">{groupNames(plan, view.groups.value, size.value).map(({ text, x, y }, i) => (
          <text key={i} class="name own" x={x} y={y} text-anchor="middle" font-size={size.value}>{text}</text>
        ))}</g>
        <Goal graph={graph} plan={plan} />
      </svg>
      <svg {...frame} class="sheet lit" aria-hidden="true"><Lit view={view} named={placed.value} size={size.value} /></svg>
    </>
  );
}

function ZoomButtons({ view }: { view: View }) {
  const moved = useComputed(() => view.moved.value !== null);
  return (
    <div class="zoom" role="group" aria-label="Zoom">
      <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => view.zoom(1.4)}>+</button>
      <button type="button" aria-label="Zoom out" title="Zoom out (−)" disabled={!moved.value} onClick={() => view.zoom(1 / 1.4)}>−</button>
      <button type="button" aria-label="Fit the whole circuit" title="Fit (0)" disabled={!moved.value} onClick={() => (view.moved.value = null)}>⤢</button>
    </div>
  );
}

/** The stage is as wide as there is room, and never higher than the window shows. */
function useSize(view: View, box: { current: HTMLDivElement | null }) {
  useEffect(() => {
    const measure = () => {
      if (!box.current) return; // the view was left
      const width = Math.max(300, box.current.clientWidth), most = Math.max(340, Math.round(innerHeight * 0.8) - 60);
      const now = view.stage.peek();
      if (width !== now.width || Math.abs(most - now.most) > 1) view.stage.value = { width, most };
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, [view]);
}

/** One node at a time can be reached by Tab: the held one, else the one that had the focus, else the strongest. */
function useRoving(view: View, box: { current: HTMLDivElement | null }) {
  const held = view.found(view.held.value);
  useEffect(() => {
    const all = [...box.current!.querySelectorAll<SVGGElement>("#graph .node")];
    const wanted = held && all.find((node) => node.dataset.i === String(held.i));
    const at = wanted ?? all.find((node) => node === document.activeElement) ?? all.at(-1);
    for (const node of all) if (node.getAttribute("tabindex") !== (node === at ? "0" : "-1")) node.setAttribute("tabindex", node === at ? "0" : "-1");
  });
}

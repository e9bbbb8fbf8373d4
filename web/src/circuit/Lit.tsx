import { colourOf, isGoal, type Item } from "./graph";
import { curve, inkOf, radiusOf, widthOf } from "./layout";
import { Face } from "./Nodes";
import type { Name } from "./names";
import { outline } from "./shapes";
import type { View } from "./view";

// What is looked at, over the drawing: ties, the nodes at their ends, their names, and rings around what is held,
// found, selected and pinned.

export function Lit({ view, named, size }: { view: View; named: Name[]; size: number }) {
  const graph = view.graph.value, plan = view.plan.value, lit = view.lit.value, focus = view.focus.value;
  const here = (item: Item) => plan.spots[item.i] && !isGoal(item);
  const hits = view.hits.value.filter((item) => view.alive.value[item.i]);
  const chosen = view.selected.value.map(view.found).filter((item) => item !== null);
  return (
    <>
      <g>{view.ties.value.map((edge) => (
        <path key={`${edge.from.i} ${edge.to.i}`} class={`edge ${colourOf(edge, edge.weight)}`} d={curve(graph, plan, edge)} stroke-width={widthOf(graph, edge).toFixed(2)}
          opacity={lit?.has(edge.from) && lit.has(edge.to) ? 0.85 : Math.min(0.5, 0.15 + inkOf(graph, edge))} />
      ))}</g>
      <g>{lit && [...lit].filter(here).slice(0, 400).map((item) => {
        const { x, y } = plan.spots[item.i]!;
        return <g key={item.i} class={`node ${colourOf(item, item.score)}`} data-verdict={view.rulings.value.get(item.key) || undefined} transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}><Face graph={graph} item={item} /></g>;
      })}</g>
      <Rings view={view} of={hits} name="found" more={3.5} />
      <Rings view={view} of={chosen} name="selected" more={4.5} />
      <Rings view={view} of={view.pins.value} name="pinned" more={0} />
      <Rings view={view} of={focus ? [focus] : []} name="held" more={3.5} />
      <g>{lit && named.filter((name) => lit.has(name.item)).map((name) => (
        <text key={name.item.i} class={`name ${name.item === focus ? "own" : ""}`} x={name.x} y={name.y} text-anchor={name.anchor} font-size={size}>{name.text}</text>
      ))}</g>
    </>
  );
}

function Rings({ view, of, name, more }: { view: View; of: readonly Item[]; name: string; more: number }) {
  const graph = view.graph.value, plan = view.plan.value;
  return (
    <g class={`ring ${name}`}>
      {of.filter((item) => plan.spots[item.i] && !isGoal(item)).slice(0, 1000).map((item) => {
        const { x, y } = plan.spots[item.i]!, r = radiusOf(graph, item);
        return name === "pinned"
          ? <circle key={item.i} cx={x + r * 0.75 + 1} cy={y - r * 0.75 - 1} r={2.6} />
          : <path key={item.i} transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`} d={outline(item.shape, r + more)} />;
      })}
    </g>
  );
}

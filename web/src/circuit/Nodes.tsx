import { memo } from "preact/compat";
import { signed, clip } from "../card/words";
import { colourOf, placeOf, titled, type Graph, type Item } from "./graph";
import { goalWidth, radiusOf, type Plan } from "./layout";
import { outline } from "./shapes";

export const spoken = (graph: Graph, item: Item) =>
  `${titled(item)}, ${item.members.length ? item.name : placeOf(graph, item)}, effect ${signed(item.score)}${item.sides ? `, in ${said(graph, item)}` : ""}`;

const said = (graph: Graph, { sides }: Item) => {
  const [a, b] = graph.data.sides!.names;
  return sides!.side === "both" ? "both" : sides!.side === "a" ? a : b;
};

/** The shape of a node, shaded by its strength. */
export function Face({ graph, item }: { graph: Graph; item: Item }) {
  const d = outline(item.shape, radiusOf(graph, item));
  return (
    <>
      <path class="back" d={d} />
      <path class="face" d={d} fill-opacity={(0.2 + 0.8 * Math.sqrt(item.weight / graph.heaviest)).toFixed(3)} />
    </>
  );
}

/** All nodes as buttons, strongest on top; drawn again only when the plan is another. */
export const Nodes = memo(({ graph, plan, verdicts }: { graph: Graph; plan: Plan; verdicts: ReadonlyMap<string, string> }) => (
  <g class={plan.shown.length > 250 ? "" : "moves"}>
    {[...plan.shown].reverse().map((item) => {
      const { x, y } = plan.spots[item.i]!;
      return (
        <g
          key={item.address}
          class={`node ${colourOf(item, item.score)}`}
          data-i={item.i}
          data-verdict={verdicts.get(item.key) || undefined}
          role="button"
          tabindex={-1}
          aria-label={spoken(graph, item)}
          style={{ transform: `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)` }}
        >
          <Face graph={graph} item={item} />
        </g>
      );
    })}
  </g>
));

/** The metric, at the top. */
export function Goal({ graph, plan }: { graph: Graph; plan: Plan }) {
  const spot = plan.spots[graph.goal.i]!, wide = goalWidth(graph.goal);
  if (!graph.goal.into.length) return null;
  return (
    <g class="goal" data-i={graph.goal.i}>
      <rect x={spot.x - wide / 2} y={spot.y - 13} width={wide} height={26} rx={13} />
      <text x={spot.x} y={spot.y + 4.2}>{clip(graph.goal.label, 40)}</text>
    </g>
  );
}

import { clip, shown } from "../card/words";
import type { View } from "./view";

/** The names of rows at the left, or the words of columns at the foot; they stay in view while the drawing moves. */
export function Axis({ view, of }: { view: View; of: "sites" | "words" }) {
  const { graph, plan } = view, { k, x, y } = view.camera.value;
  return of === "sites" ? (
    <svg class="axis sites" aria-hidden="true">
      {plan.value.rows.map((row) => <text key={row.site} class="site" x={16} y={((row.top + row.bottom) / 2) * k + y + 4}>{graph.value.sites[row.site]}</text>)}
    </svg>
  ) : (
    <svg class="axis words" aria-hidden="true">
      {plan.value.lanes.map((lane, c) => (
        <text key={c} class="word" x={inView(lane.x * k + x, (lane.x + lane.width) * k + x, view.stage.value.width)} y={25}>
          {clip(shown(graph.value.words[c]!).trim(), Math.max(3, Math.floor((lane.width * k - 12) / 6.6)))}
          <title>{graph.value.words[c]}</title>
        </text>
      ))}
    </svg>
  );
}

/** The middle of what can be seen of a lane, or of all of it where that is little. */
function inView(left: number, right: number, width: number): number {
  const from = Math.max(left, 0), to = Math.min(right, width);
  return to - from > 60 ? (from + to) / 2 : (left + right) / 2;
}

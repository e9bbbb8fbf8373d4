import { hundredths, signed, sized } from "../card/words";
import { visit } from "./keys";
import type { View } from "./view";

const W = 304, H = 190, PAD = { left: 40, right: 12, top: 10, bottom: 34 };

/** What the strongest nodes (or edges) were predicted to do, against what the model did when each was ablated alone. */
export function Predicted({ view }: { view: View }) {
  const tried = view.data.circuit.details?.predicted_effects;
  if (!tried || (tried.r === null && !tried.points?.length)) return null;
  const of = tried.nodes === undefined ? "edges" : "nodes", many = tried.nodes ?? tried.edges ?? 0;
  const points = (tried.points ?? []).flatMap(([name, predicted, intervened]) => (predicted === null || intervened === null ? [] : [{ name, predicted, intervened }]));
  const all = [0, ...points.flatMap((p) => [p.predicted, p.intervened])], low = Math.min(...all), high = Math.max(...all), room = (high - low || 1) * 0.06;
  const share = (v: number) => (v - low + room) / (high - low + 2 * room);
  const x = (v: number) => PAD.left + share(v) * (W - PAD.left - PAD.right), y = (v: number) => H - PAD.bottom - share(v) * (H - PAD.top - PAD.bottom);
  const ends = [low - room, high + room] as const;
  return (
    <section id="predicted" aria-labelledby="predicted-title">
      <div class="heading"><h2 id="predicted-title">Predicted against intervened</h2></div>
      {points.length > 1 && (
        <svg class="scatter" viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`Effects of ${points.length} ${of}: predicted across, intervened up`}>
          <line class="same" x1={x(ends[0])} y1={y(ends[0])} x2={x(ends[1])} y2={y(ends[1])} />
          <line class="grid" x1={x(0)} x2={x(0)} y1={PAD.top} y2={H - PAD.bottom} />
          <line class="grid" x1={PAD.left} x2={W - PAD.right} y1={y(0)} y2={y(0)} />
          {[low, 0, high].filter((v, i, some) => some.findIndex((w) => Math.abs(x(w) - x(v)) < 24) === i).map((v) => (
            <g key={v}>
              <text class="tick" x={x(v)} y={H - PAD.bottom + 15} text-anchor="middle">{v < 0 ? signed(v) : sized(v)}</text>
              <text class="tick" x={PAD.left - 6} y={y(v) + 4} text-anchor="end">{v < 0 ? signed(v) : sized(v)}</text>
            </g>
          ))}
          <text class="tick" x={(PAD.left + W - PAD.right) / 2} y={H - 3} text-anchor="middle">predicted</text>
          {points.map((p) => {
            const item = view.found(p.name);
            return (
              <circle key={p.name} class={`${p.predicted < 0 ? "minus" : "plus"} ${item && item === view.focus.value ? "own" : ""}`} cx={x(p.predicted)} cy={y(p.intervened)} r={4} onClick={() => item && visit(view, item)}>
                <title>{`${p.name}: predicted ${signed(p.predicted)}, intervened ${signed(p.intervened)}`}</title>
              </circle>
            );
          })}
        </svg>
      )}
      <div class="numbers">
        <p>{`Ablated one by one, its ${many} strongest ${of}: `}r <b>{tried.r === null ? "not defined" : hundredths(tried.r)}</b>, slope <b>{tried.slope === null ? "not defined" : hundredths(tried.slope)}</b></p>
        {points.length > 1 && <p class="keys"><span><i class="dashed" />as predicted</span></p>}
      </div>
    </section>
  );
}

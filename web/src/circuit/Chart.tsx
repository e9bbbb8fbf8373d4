import { capital, hundredths, plural } from "../card/words";
import { labelled, type Line } from "./chartnames";
import type { Row } from "./types";
import type { View } from "./view";

// How much of the behaviour the circuit explains, by its size, beside other views and chance.

const W = 304, H = 184, PAD = { left: 30, right: 12, top: 12, bottom: 34 };
const KNOWN = ["features", "neurons", "heads", "random"];

type Measured = Row & { value: number; nodes: number };

export function Chart({ view }: { view: View }) {
  const report = view.data.report;
  if (!report?.rows.length) return null;
  const measure = view.measure.value, single = report.rows.filter((r) => !view.swept.includes(r.measure));
  const mine = report.rows.filter((r): r is Measured => r.measure === measure && (r.nodes ?? 0) > 0 && r.value !== null);
  return (
    <section id="measured">
      <div class="heading">
        <h2 id="chart-title">{mine.length ? "How much it explains" : report.title}</h2>
        {view.swept.length > 1 && (
          <div id="measures" role="group" aria-label="Measure">
            {view.swept.map((name) => <button key={name} type="button" aria-pressed={name === measure} onClick={() => (view.measure.value = name)}>{capital(name)}</button>)}
          </div>
        )}
      </div>
      {mine.length > 0 && <Curves view={view} measure={measure} mine={mine} />}
      <div id="numbers">
        {mine.length > 0 && <Here view={view} measure={measure} mine={mine} />}
        {mine.length > 0 && <Keys view={view} mine={mine} />}
        {single.map((r, i) => <p key={i}>{`${capital(r.measure)} ${r.of}`.trim()} <b>{r.value === null ? "not defined" : hundredths(r.value)}</b>{interval(r)}</p>)}
      </div>
    </section>
  );
}

const interval = (r: Row) => (r.low === null || r.high === null ? "" : ` [${hundredths(r.low)}, ${hundredths(r.high)}]`);
const kindOf = (of: string) => (of.startsWith("random") ? "random" : of);
const unitOf = (mine: readonly Measured[]) => mine[0]!.unit;
/** The size of the graph, where that is what is measured by: of edges it draws the strongest few. */
const sizeOf = (view: View, mine: readonly Measured[]) => (unitOf(mine) === "node" ? view.size.value : NaN);
const seriesOf = (mine: readonly Measured[]) => [...new Set(mine.map((r) => r.of))].sort((a, b) => Number(b.startsWith("random")) - Number(a.startsWith("random")));

function scales(mine: readonly Measured[]) {
  const sizes = mine.map((r) => r.nodes), lowest = Math.log(Math.min(...sizes)), highest = Math.log(Math.max(...sizes));
  // A ratio may leave [0, 1]; the axis follows it, up to a point.
  const floor = Math.max(-0.5, Math.min(0, ...mine.map((r) => r.value))), roof = Math.min(1.5, Math.max(1, ...mine.map((r) => r.value)));
  return {
    lowest, highest,
    x: (n: number) => PAD.left + ((Math.log(n) - lowest) / (highest - lowest)) * (W - PAD.left - PAD.right),
    y: (v: number) => H - PAD.bottom - ((Math.min(roof, Math.max(floor, v)) - floor) / (roof - floor)) * (H - PAD.top - PAD.bottom),
    size: (share: number) => Math.round(Math.exp(lowest + ((share * W - PAD.left) / (W - PAD.left - PAD.right)) * (highest - lowest))),
    holds: (n: number) => n >= Math.min(...sizes) && n <= Math.max(...sizes),
  };
}

function Curves({ view, measure, mine }: { view: View; measure: string; mine: readonly Measured[] }) {
  const scale = scales(mine), series = seriesOf(mine), unit = unitOf(mine), here = sizeOf(view, mine);
  const powers = Array.from({ length: 8 }, (_, p) => 10 ** p).filter((n) => Math.log(n) >= scale.lowest - 1e-9 && Math.log(n) <= scale.highest + 1e-9);
  const lines: Line[] = series.map((of) => ({ of, points: mine.filter((r) => r.of === of).sort((a, b) => a.nodes - b.nodes).map((r) => [scale.x(r.nodes), scale.y(r.value)]) }));
  const spots = labelled(lines.filter((line) => line.of), { left: PAD.left, right: W - PAD.right, bottom: H - PAD.bottom, avoid: Number.isNaN(here) ? -W : scale.x(here) });
  return (
    <svg id="chart" viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`${capital(measure)} by number of ${unit}s`} onClick={(e) => {
      if (unit !== "node") return;
      const frame = e.currentTarget.getBoundingClientRect();
      view.resize(scale.size((e.clientX - frame.left) / frame.width));
    }}>
      {[0, 0.5, 1].map((v) => <g key={v}><line class="grid" x1={PAD.left} x2={W - PAD.right} y1={scale.y(v)} y2={scale.y(v)} /><text class="tick" x={PAD.left - 7} y={scale.y(v) + 3.5} text-anchor="end">{v}</text></g>)}
      {powers.map((n) => <g key={n}><line class="grid" x1={scale.x(n)} x2={scale.x(n)} y1={H - PAD.bottom} y2={H - PAD.bottom + 4} /><text class="tick" x={scale.x(n)} y={H - PAD.bottom + 16} text-anchor="middle">{n >= 1e6 ? `${n / 1e6}M` : n >= 1000 ? `${n / 1000}k` : n}</text></g>)}
      <text class="tick" x={(PAD.left + W - PAD.right) / 2} y={H - 3} text-anchor="middle">{`${unit}s`}</text>
      {scale.holds(here) && <line class="here" x1={scale.x(here)} x2={scale.x(here)} y1={PAD.top - 4} y2={H - PAD.bottom} />}
      {series.map((of) => <Series key={of} of={of} alone={series.length === 1} rows={mine.filter((r) => r.of === of)} scale={scale} spot={spots.get(of)} measure={measure} />)}
    </svg>
  );
}

function Series({ of, alone, rows, scale, spot, measure }: { of: string; alone: boolean; rows: Measured[]; scale: ReturnType<typeof scales>; spot?: { x: number; y: number }; measure: string }) {
  rows.sort((a, b) => a.nodes - b.nodes);
  const kind = kindOf(of), colour = KNOWN.includes(kind) ? kind : alone ? "features" : "other";
  const banded = rows.filter((r) => r.low !== null && r.high !== null), edge = (key: "low" | "high") => banded.map((r) => `${scale.x(r.nodes).toFixed(1)},${scale.y(r[key]!).toFixed(1)}`);
  return (
    <g class={`series ${kind === "random" ? kind : ""}`} style={{ "--series": `var(--${colour})` }}>
      <polygon points={[...edge("high"), ...edge("low").reverse()].join(" ")} />
      <path d={rows.map((r, k) => `${k ? "L" : "M"}${scale.x(r.nodes).toFixed(1)} ${scale.y(r.value).toFixed(1)}`).join("")} />
      {rows.map((r) => <circle key={r.nodes} cx={scale.x(r.nodes)} cy={scale.y(r.value)} r={2.4}><title>{`${of || measure}, ${plural(r.nodes, r.unit)}: ${hundredths(r.value)}${interval(r)}, ${r.examples} examples`}</title></circle>)}
      {spot && <text x={spot.x} y={spot.y} text-anchor="middle">{of}</text>}
    </g>
  );
}

/** What was measured at the size of the graph, or else at the sizes next to it. */
function Here({ view, measure, mine }: { view: View; measure: string; mine: readonly Measured[] }) {
  const found = seriesOf(mine).filter((of) => kindOf(of) !== "random"), of = found.includes("features") || found.length !== 1 ? "features" : found[0];
  const own = mine.filter((r) => r.of === of).sort((a, b) => a.nodes - b.nodes), size = sizeOf(view, mine);
  const exact = own.filter((r) => r.nodes === size), near = exact.length ? exact : Number.isNaN(size) ? [own.at(-1)] : [own.filter((r) => r.nodes < size).at(-1), own.find((r) => r.nodes > size)];
  return <>{near.map((r) => r && <p key={r.nodes}>{`${capital(measure)} of ${plural(r.nodes, r.unit)} `}<b>{hundredths(r.value)}</b>{interval(r)}</p>)}</>;
}

/** What lines and shades of the chart mean. */
function Keys({ view, mine }: { view: View; mine: readonly Measured[] }) {
  return (
    <p class="keys">
      {scales(mine).holds(sizeOf(view, mine)) && <span><i class="here" />{`${plural(view.size.value, "node")}, as in the graph`}</span>}
      {mine.some((r) => r.low !== null) && <span><i class="shade" />{`95 % interval over ${plural(mine[0]!.examples ?? 0, "prompt")}`}</span>}
      {seriesOf(mine).some((of) => of.startsWith("random")) && <span><i class="dashed" />drawn at random</span>}
    </p>
  );
}

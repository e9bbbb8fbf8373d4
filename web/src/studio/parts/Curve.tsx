import type { Row } from "../types";
import { brief } from "./words";

const WIDTH = 520;
const HEIGHT = 240;
const LEFT = 44;
const RIGHT = 26;
const TOP = 12;
const BOTTOM = 34;

interface Given {
  rows: readonly Row[];
  label: string;
}

/** A measure over sizes of circuits: a line with its band for each of what was measured. */
export function Curve({ rows, label }: Given) {
  const drawn = rows.filter((row): row is Row & { value: number; nodes: number } => row.value !== null && row.nodes !== null);
  if (drawn.length < 2) return null;
  const sizes = drawn.map(({ nodes }) => nodes);
  const start = Math.log(Math.max(1, Math.min(...sizes)));
  const end = Math.log(Math.max(2, ...sizes));
  const values = drawn.map(({ value }) => value);
  const least = Math.max(-1, Math.min(0, ...values));
  const most = Math.min(2, Math.max(1, ...values));
  const x = (nodes: number) => LEFT + ((WIDTH - LEFT - RIGHT) * (Math.log(Math.max(1, nodes)) - start)) / (end - start || 1);
  const y = (value: number) => TOP + ((HEIGHT - TOP - BOTTOM) * (most - Math.min(most, Math.max(least, value)))) / (most - least || 1);
  const series = [...new Set(drawn.map(({ of }) => of))].map((of) => ({ of, rows: drawn.filter((row) => row.of === of).sort((a, b) => a.nodes - b.nodes) }));
  return (
    <figure class="plot">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${label}: ${series.map(({ of, rows: some }) => told(of, some)).join("; ")}`}>
        {ticks(least, most).map((value) => (
          <g key={value}>
            <line class="rule" x1={LEFT} x2={WIDTH - RIGHT} y1={y(value)} y2={y(value)} />
            <text class="tick" x={LEFT - 8} y={y(value) + 4} text-anchor="end">
              {brief(value)}
            </text>
          </g>
        ))}
        {decades(sizes).map((size) => (
          <text key={size} class="tick" x={x(size)} y={HEIGHT - 12} text-anchor="middle">
            {brief(size)}
          </text>
        ))}
        {series.map(({ of, rows: some }, i) => (
          <Line key={of} name={of} colour={i % 5} rows={some} x={x} y={y} />
        ))}
      </svg>
      <figcaption class="legend-of">
        {series.map(({ of }, i) => (
          <span key={of} class={`curve c${i % 5} ${of}`}>
            <i aria-hidden="true" />
            {of}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

type Drawn = Row & { value: number; nodes: number };

interface Drawing {
  name: string;
  colour: number;
  rows: readonly Drawn[];
  x: (nodes: number) => number;
  y: (value: number) => number;
}

function Line({ name, colour, rows, x, y }: Drawing) {
  const bounded = rows.filter((row) => row.low !== null && row.high !== null);
  const band = [...bounded.map((row) => `${x(row.nodes)},${y(row.low!)}`), ...bounded.reverse().map((row) => `${x(row.nodes)},${y(row.high!)}`)];
  return (
    <g class={`curve c${colour} ${name}`}>
      <polygon points={band.join(" ")} />
      <polyline points={rows.map((row) => `${x(row.nodes)},${y(row.value)}`).join(" ")} />
      {rows.map((row) => (
        <circle key={row.nodes} cx={x(row.nodes)} cy={y(row.value)} r="2.6" />
      ))}
    </g>
  );
}

const told = (of: string, rows: readonly Drawn[]): string =>
  `${of} ${rows.map(({ value, nodes }) => `${brief(value)} at ${nodes}`).join(", ")}`;

function ticks(least: number, most: number): number[] {
  const step = most - least > 1.5 ? 0.5 : 0.25;
  const count = Math.floor(most / step) - Math.ceil(least / step) + 1;
  return Array.from({ length: count }, (_, i) => (Math.ceil(least / step) + i) * step);
}

/** Sizes that are marked: at most seven of those that were measured. */
function decades(sizes: readonly number[]): number[] {
  const distinct = [...new Set(sizes)].sort((a, b) => a - b);
  const step = Math.ceil(distinct.length / 7);
  return distinct.filter((_, i) => i % step === 0);
}

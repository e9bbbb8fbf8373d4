import { brief } from "./words";
import type { Interval } from "../types";

/** The least and the most that is drawn. */
export type Scale = readonly [least: number, most: number];

interface Given {
  rows: readonly (Interval & { name: string })[];
  label: string;
  /** By default just so wide that all of these rows and 0 are on it. */
  scale?: Scale | null;
}

const PAD = 4; // percent of the width, at both ends

/** A scale that holds these numbers, their intervals and 0; null where there is no number. */
export function scaleOf(rows: readonly Interval[]): Scale | null {
  const ends = rows.flatMap(({ value, low, high }) => [value, low, high]).filter((end): end is number => end !== null && Number.isFinite(end));
  return ends.length ? [Math.min(0, ...ends), Math.max(0, ...ends)] : null;
}

/** Numbers with their intervals on one scale, a line each; its ends are told below. */
export function Intervals({ rows, label, scale = scaleOf(rows) }: Given) {
  if (!scale) return null;
  const [least, most] = scale;
  const x = (value: number) => `${PAD + ((100 - 2 * PAD) * (value - least)) / (most - least || 1)}%`;
  return (
    <div class="intervals" role="list" aria-label={label}>
      {rows.map(({ name, value, low, high }, i) => (
        <div key={i} role="listitem">
          <span>{name}</span>
          <svg aria-hidden="true" width="100%" height="18">
            <line class="rule" x1={x(0)} x2={x(0)} y1="0" y2="18" />
            {low !== null && high !== null && <line class="whisker" x1={x(low)} x2={x(high)} y1="9" y2="9" />}
            {value !== null && <circle cx={x(value)} cy="9" r="4" />}
          </svg>
          <span class="value">
            <b>{brief(value)}</b> {low !== null && high !== null ? `[${brief(low)}, ${brief(high)}]` : ""}
          </span>
        </div>
      ))}
      <div aria-hidden="true" class="ends">
        <span />
        <svg width="100%" height="13">
          {[...new Set(scale)].map((end) => (
            <text key={end} class="tick" x={x(end)} y="10" text-anchor="middle">
              {brief(end)}
            </text>
          ))}
        </svg>
      </div>
    </div>
  );
}

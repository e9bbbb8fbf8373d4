import { brief } from "./words";
import type { Interval } from "../types";

interface Given {
  rows: readonly (Interval & { name: string })[];
  label: string;
}

const PAD = 4; // percent of the width, at both ends

/** Numbers with their intervals on one scale, a line each. */
export function Intervals({ rows, label }: Given) {
  const ends = rows.flatMap(({ value, low, high }) => [value, low, high]).filter((end): end is number => end !== null && Number.isFinite(end));
  if (!ends.length) return null;
  const least = Math.min(0, ...ends);
  const most = Math.max(0, ...ends);
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
    </div>
  );
}

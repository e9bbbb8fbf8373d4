import { brief } from "../parts/words";
import type { Unit } from "../types";

const HEIGHT = 90;
const WIDTH = 420;
const BOTTOM = 18;
const WIDEST = 40;

/** How often a unit fires how strongly: a bar for each bin, counts on a scale of logarithms. */
export function Histogram({ bins }: { bins: NonNullable<Unit["histogram"]> }) {
  if (!bins.length) return null;
  const most = Math.log1p(Math.max(...bins.map(({ count }) => count)));
  const step = Math.min(WIDEST, WIDTH / bins.length);
  const end = step * bins.length;
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  const first = bins[0]!;
  const last = bins[bins.length - 1]!;
  return (
    <figure class="plot histogram">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${total.toLocaleString("en")} firings from ${brief(first.low)} to ${brief(last.high)}`}>
        {bins.map(({ low, high, count }, i) => {
          const height = ((HEIGHT - BOTTOM) * Math.log1p(count)) / (most || 1);
          return (
            <rect key={i} class={low < 0 ? "minus" : "plus"} x={i * step + 0.5} width={Math.max(1, step - 1)} y={HEIGHT - BOTTOM - height} height={height}>
              <title>{`${count.toLocaleString("en")} from ${brief(low)} to ${brief(high)}`}</title>
            </rect>
          );
        })}
        <text class="tick" x="0" y={HEIGHT - 4}>
          {brief(first.low)}
        </text>
        <text class="tick" x={Math.max(end, 70)} y={HEIGHT - 4} text-anchor="end">
          {brief(last.high)}
        </text>
      </svg>
      <figcaption class="soft">How strongly it fires, from left to right, and how often: on a scale of logarithms.</figcaption>
    </figure>
  );
}

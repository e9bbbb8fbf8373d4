import { capital } from "../card/words";
import type { Found, Interval, Share } from "./types";
import { number } from "./words";

/** What is drawn at most beyond 0 and 1; the numbers say the rest. */
const LEAST = -0.5, MOST = 1.5;
const ABLATED: Record<string, string> = { mean: "others set to their mean", resample: "others from another context", zero: "others set to zero" };

/** How much of the answers' likelihood the circuit carries, beside random circuits of its size, as bars on one scale. */
export function Shares({ of: { shares } }: { of: Found }) {
  const ends = shares.flatMap(({ own, random }) => [...own, ...(random ?? [])]).filter((end): end is number => end !== null);
  const scale = [Math.max(LEAST, Math.min(0, ...ends)), Math.min(MOST, Math.max(1, ...ends))] as const;
  return (
    <>
      {(["faithfulness", "completeness"] as const).map((measure) => {
        const of = shares.filter((one) => one.measure === measure);
        return of.length > 0 && (
          <div key={measure} class="shares" role="list" aria-label={capital(measure)}>
            <h3 title={measure === "faithfulness" ? "of what the model does, the circuit alone" : "of what the model does, what is left without the circuit"}>{capital(measure)}{of[0]!.size === null ? "" : ` at ${of[0]!.size} nodes`}</h3>
            {of.map((one) => <Pair key={one.of} of={one} scale={scale} />)}
          </div>
        );
      })}
    </>
  );
}

type Scale = readonly [least: number, most: number];

const Pair = ({ of, scale }: { of: Share; scale: Scale }) => (
  <>
    {of.of && <p class="line">{ABLATED[of.of] ?? of.of}{of.p !== null && `, p = ${number(of.p)}`}</p>}
    <Bar name="circuit" of={of.own} scale={scale} />
    {of.random && <Bar name="random" of={of.random} scale={scale} />}
  </>
);

function Bar({ name, of: [value, low, high], scale: [least, most] }: { name: string; of: Interval; scale: Scale }) {
  const x = (at: number) => (100 * (Math.min(most, Math.max(least, at)) - least)) / (most - least), zero = x(0);
  const percent = (at: number) => `${at.toFixed(2)}%`;
  return (
    <div role="listitem" class={`share ${name}`}>
      <span>{name}</span>
      <svg aria-hidden="true" width="100%" height="14">
        {value !== null && <rect x={percent(Math.min(zero, x(value)))} width={percent(Math.abs(x(value) - zero))} y="2" height="10" rx="2" />}
        <line class="rule" x1={percent(zero)} x2={percent(zero)} y1="0" y2="14" />
        <line class="rule one" x1={percent(x(1))} x2={percent(x(1))} y1="0" y2="14" />
        {low !== null && high !== null && <line class="whisker" x1={percent(x(low))} x2={percent(x(high))} y1="7" y2="7" />}
      </svg>
      <span class="value"><b>{number(value)}</b>{low !== null && high !== null && ` [${number(low)}, ${number(high)}]`}</span>
    </div>
  );
}

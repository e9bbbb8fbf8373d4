import { Intervals } from "../parts/Intervals";
import { plural, words } from "../parts/words";
import type { Outcome } from "./outcome";

/** A behaviour's metric before and after, with intervals. */
export function Metrics({ of }: { of: Outcome["metrics"] }) {
  return (
    <>
      {of.map(({ name, before, after, n, split }) => (
        <div key={name}>
          <h3>
            {words(name)}, {plural(n, "prompt")}, {split}
          </h3>
          <Intervals rows={[{ name: "before", ...before }, { name: "after", ...after }]} label={`${words(name)} before and after`} />
        </div>
      ))}
    </>
  );
}

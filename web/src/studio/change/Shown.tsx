import { largest } from "../parts/Bars";
import { Next } from "../parts/Next";
import { Section } from "../parts/Section";
import { span } from "../parts/words";
import { Metrics } from "./Metrics";
import type { Outcome } from "./outcome";

const NEXT = 5;

/** Before and after side by side, as they come. */
export function Shown({ of, prompt }: { of: Outcome; prompt: string }) {
  const most = of.next ? largest([...of.next.before, ...of.next.after].map(({ p }) => p)) : 1;
  return (
    <Section title="Before and after" aside={of.seconds !== null && <span class="soft">{span(of.seconds)}</span>}>
      <div class="sides" aria-live="polite" aria-busy={of.seconds === null}>
        {(["before", "after"] as const).map((side) => (
          <div key={side}>
            <h3>{side === "before" ? "Before" : "After"}</h3>
            <p class="written">
              <span class="soft">{prompt}</span>
              <b>{of[side]}</b>
            </p>
            {of.next && <Next odds={of.next[side].slice(0, NEXT)} label={`The next token, ${side}`} most={most} />}
          </div>
        ))}
      </div>
      {of.metrics.length > 0 && <Metrics of={of.metrics} />}
      {of.receipts.length > 0 && (
        <details>
          <summary>Where the edits were at work</summary>
          <ul class="notes">
            {of.receipts.map((receipt, i) => (
              <li key={i}>{receipt}</li>
            ))}
          </ul>
        </details>
      )}
    </Section>
  );
}

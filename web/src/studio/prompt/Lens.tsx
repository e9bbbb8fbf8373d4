import { useSignal } from "@preact/signals";
import { Next } from "../parts/Next";
import { Section } from "../parts/Section";
import { percent, shown } from "../parts/words";
import type { PromptAnswer } from "../types";

const NEXT = 5;

/** What each layer would say next at each position: the likeliest token of each, shaded by its probability. */
export function Lens({ answer: { tokens, lens, lens_is } }: { answer: PromptAnswer }) {
  const chosen = useSignal<readonly [row: number, at: number]>([0, tokens.length - 1]);
  if (!lens.length) return null;
  const rows = [...lens].reverse();
  const [row, at] = chosen.value;
  const odds = rows[row]?.positions[at] ?? [];
  return (
    <Section title="The lens, layer by layer">
      <p class="soft">{lens_is}</p>
      <div class="scroll" tabIndex={0} role="region" aria-label="The likeliest token by layer and position">
        <table class="lens">
          <thead>
            <tr>
              <th scope="col" class="hidden-cell">Layer</th>
              {tokens.map((token, i) => (
                <th key={i} scope="col" class="mono">
                  {shown(token)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ site, positions }, i) => (
              <tr key={site}>
                <th scope="row" class="mono">
                  {site}
                </th>
                {positions.map(([first], j) => (
                  <td key={j} style={{ "--heat": `${Math.round(70 * (first?.p ?? 0))}%` }}>
                    <button
                      type="button" aria-pressed={i === row && j === at} title={first && `${shown(first.token)} ${percent(first.p)}`}
                      onClick={() => (chosen.value = [i, j])}
                    >
                      {first ? shown(first.token) : ""}
                      <small>{first ? percent(first.p) : ""}</small>
                    </button>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {odds.length > 0 && (
        <div class="chosen" aria-live="polite">
          <h3>
            {rows[row]!.site} after “{shown(tokens[at] ?? "").trim()}”
          </h3>
          <Next odds={odds.slice(0, NEXT)} label="What this layer would say" />
        </div>
      )}
    </Section>
  );
}

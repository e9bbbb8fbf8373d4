import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { send } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Choice } from "../parts/Field";
import { Section } from "../parts/Section";
import { percent, shown } from "../parts/words";
import { note, params } from "../route";
import { type Look, withView } from "../seen";
import type { Attention as Answer, View } from "../types";

const upTo = (n: number) => Array.from({ length: n }, (_, i) => ({ value: String(i) }));

/** Where a head looks: of each token, how much at each before it. */
export function Attention({ look, view, text }: { look: Look; view: View; text: string }) {
  const { layer = "0", head = "0" } = params.value;
  const pattern = useAsking((signal) =>
    withView(look, signal, ({ id }) => send<Answer>("POST", "attention", {}, { view: id, text, layer: Number(layer), head: Number(head) }, signal)),
  );
  useEffect(() => void pattern.run(), [text, layer, head, view.id]);
  return (
    <Section title="Where a head looks">
      <div class="row">
        <Choice label="Layer" value={layer} onValue={(value) => note({ layer: value })} options={upTo(view.layers)} />
        <Choice label="Head" value={head} onValue={(value) => note({ head: value })} options={upTo(view.heads)} />
      </div>
      <Asked of={pattern} what="running the model" />
      {pattern.answer.value && <Pattern of={pattern.answer.value} />}
    </Section>
  );
}

function Pattern({ of: { tokens, pattern } }: { of: Answer }) {
  const chosen = useSignal(tokens.length - 1);
  const at = Math.min(chosen.value, tokens.length - 1);
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="The attention pattern: a row for each token that looks, a column for each that it looks at">
        <table class="pattern">
          <thead>
            <tr>
              <th class="hidden-cell" />
              {tokens.map((token, i) => (
                <th key={i} scope="col" class="mono">
                  <span>{shown(token)}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {pattern.map((row, i) => (
              <tr key={i} class={i === at ? "chosen" : ""}>
                <th scope="row" class="mono">
                  <button type="button" aria-pressed={i === at} onClick={() => (chosen.value = i)}>
                    {shown(tokens[i] ?? "")}
                  </button>
                </th>
                {row.map((share, j) => (
                  <td key={j} style={{ "--heat": `${Math.round(90 * share)}%` }} title={`${shown(tokens[i] ?? "")} looks at ${shown(tokens[j] ?? "")}: ${percent(share)}`}>
                    <span class="hidden">{j <= i ? percent(share) : ""}</span>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="soft" aria-live="polite">
        “{shown(tokens[at] ?? "").trim()}” looks at {strongest(tokens, pattern[at] ?? [])}.
      </p>
    </>
  );
}

function strongest(tokens: readonly string[], row: readonly number[]): string {
  const order = row.map((share, at) => ({ share, at })).sort((a, b) => b.share - a.share);
  return order.slice(0, 3).filter(({ share }) => share >= 0.01).map(({ share, at }) => `“${shown(tokens[at] ?? "").trim()}” (${at}) with ${percent(share)}`).join(", ");
}

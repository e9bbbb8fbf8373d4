import { useSignal } from "@preact/signals";
import { Section } from "../parts/Section";
import { brief } from "../parts/words";
import { href } from "../route";
import { asParams, type Look } from "../seen";
import type { PromptAnswer } from "../types";
import { Tokens } from "./Tokens";

/** What fires at the token that is chosen; at first the last, from which the model goes on. */
export function Firing({ answer: { tokens, fires }, look }: { answer: PromptAnswer; look: Look }) {
  const chosen = useSignal(tokens.length - 1);
  const at = Math.min(chosen.value, tokens.length - 1);
  const units = fires.find(({ position }) => position === at)?.units ?? [];
  const most = Math.max(...units.map(({ value }) => Math.abs(value)), 1e-9);
  return (
    <Section title="What fires">
      <Tokens tokens={tokens} at={at} onAt={(next) => (chosen.value = next)} label="The token to look at" />
      {units.length === 0 ? (
        <p class="empty">Nothing fires here.</p>
      ) : (
        <table class="numbers bars" aria-label="Units that fire here, the strongest first">
          <thead>
            <tr>
              <th scope="col">Unit</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {units.map(({ address, value, label }) => (
              <tr key={address}>
                <th scope="row">
                  <a href={href("unit", { ...asParams(look), address })}>{label || <span class="mono">{address}</span>}</a>
                  {label && <span class="mono soft"> {address}</span>}
                </th>
                <td>
                  <span class={`bar ${value < 0 ? "minus" : ""}`} style={{ "--share": Math.abs(value) / most }} aria-hidden="true" />
                  <span>{brief(value)}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}

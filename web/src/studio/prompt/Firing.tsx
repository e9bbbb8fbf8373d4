import { useSignal } from "@preact/signals";
import { Bars } from "../parts/Bars";
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
  const rows = units.map(({ address, value, label }) => ({ name: <Named address={address} label={label} look={look} />, value, said: brief(value) }));
  return (
    <Section title="What fires">
      <Tokens tokens={tokens} at={at} onAt={(next) => (chosen.value = next)} label="The token to look at" />
      {units.length === 0 ? (
        <p class="empty">Nothing fires here.</p>
      ) : (
        <Bars head={["Unit", "Value"]} rows={rows} label="Units that fire here, the strongest first" />
      )}
    </Section>
  );
}

function Named({ address, label, look }: { address: string; label: string; look: Look }) {
  return (
    <>
      <a href={href("unit", { ...asParams(look), address })}>{label || <span class="mono">{address}</span>}</a>
      {label && <span class="mono soft"> {address}</span>}
    </>
  );
}

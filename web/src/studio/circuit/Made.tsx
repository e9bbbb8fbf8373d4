import { shown } from "../../card/words";
import type { Bundle } from "../../circuit/types";
import { Section } from "../parts/Section";

/** The prompts that a circuit was found on, and their answers. */
export function Prompts({ of }: { of: Bundle["prompts"] }) {
  return (
    <dl class="prompts">
      {of.map(({ name, text, answers }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            “{text}”{answers.length > 0 && <b> → {answers.map((answer) => shown(answer).trim()).join(", ")}</b>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** How it was made, in sentences, and what its report says of itself. */
export function Made({ bundle: { made, report, sides } }: { bundle: Bundle }) {
  const notes = [...(sides?.said ?? []), ...(report?.notes ?? [])];
  if (!made.length && !notes.length) return null;
  return (
    <Section title="How this was made" class="made">
      {made.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      {notes.length > 0 && (
        <ul class="notes">
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
    </Section>
  );
}

import { send } from "../api";
import { Line } from "../parts/Field";
import type { Item } from "../types";

export interface Typed {
  clean: string;
  answer: string;
  patch: string;
  other: string;
}

export const BLANK: Typed = { clean: "", answer: "", patch: "", other: "" };

const FIELDS: readonly (readonly [name: keyof Typed, label: string, hint: string])[] = [
  ["clean", "Prompt", "Up to where the model goes on, as in: The keys to the cabinet"],
  ["answer", "What it answers", "The next word, as in: are; several by commas"],
  ["patch", "The same with one thing changed", "As in: The key to the cabinet"],
  ["other", "What it answers there", "As in: is"],
];

/** Pairs of prompts that differ in one thing, typed. */
export function Pairs({ pairs, onPairs }: { pairs: readonly Typed[]; onPairs: (pairs: readonly Typed[]) => void }) {
  const change = (at: number, name: keyof Typed, value: string) => onPairs(pairs.map((pair, i) => (i === at ? { ...pair, [name]: value } : pair)));
  return (
    <>
      {pairs.map((pair, at) => (
        <fieldset key={at} class="pair">
          <legend>{pairs.length > 1 ? `Pair ${at + 1}` : "The pair"}</legend>
          {FIELDS.map(([name, label, hint]) => (
            <Line key={name} label={label} hint={hint} required value={pair[name]} onValue={(value) => change(at, name, value)} />
          ))}
          {pairs.length > 1 && (
            <button type="button" class="quiet" onClick={() => onPairs(pairs.filter((_, i) => i !== at))}>
              Take pair {at + 1} out
            </button>
          )}
        </fieldset>
      ))}
      <button type="button" onClick={() => onPairs([...pairs, BLANK])}>
        Add a pair
      </button>
      <p class="soft">From two pairs on, half of them find the circuit and the other half judge it. Ten tell more than two; one alone is judged on itself.</p>
    </>
  );
}

/** Keep the pairs as a behaviour in the folder; its path. */
export async function saved(pairs: readonly Typed[], signal: AbortSignal): Promise<string> {
  const item = await send<Item>("POST", "behaviours", {}, { name: null, pairs: pairs.map(complete) }, signal);
  return item.path;
}

/** Answers start with a space, as words do that follow another. */
const complete = ({ clean, answer, patch, other }: Typed) => ({ clean, patch, answers: listed(answer), patch_answers: listed(other) });

const listed = (text: string): string[] =>
  text.split(",").filter((one) => one.trim()).map((one) => ` ${one.trim()}`);

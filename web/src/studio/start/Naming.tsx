import { Line } from "../parts/Field";
import type { Look } from "../seen";
import { items } from "../state";

const WORDS = 4;
const last = (path: string): string => path.split(/[\\/]/).pop() ?? "";

/** A name for a circuit that says what it is of. Args: about: a behaviour's name, or the first prompt. by: the method; empty for the usual one. */
export function goodName(look: Look, about: string, by: string): string {
  const [first = ""] = last(about).split(".");
  const said = [first.split(/\s+/).slice(0, WORDS).join(" "), last(look.model), look.units, by];
  return said.map((part) => part.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-+|-+$/g, "")).filter(Boolean).join("-");
}

/** Under which name the circuit is kept, and whether there is one of that name. */
export function SaveAs({ value, onValue }: { value: string; onValue: (value: string) => void }) {
  const file = `${value.trim().replace(/\.json$/, "")}.json`;
  const taken = items.value?.some(({ path }) => path === file);
  const hint = !value.trim() ? "Left empty, it is called after what it is about." : taken ? `${file} is here already; this one gets a number.` : `Kept as ${file} in the folder.`;
  return <Line label="Save as" hint={hint} value={value} onValue={onValue} />;
}

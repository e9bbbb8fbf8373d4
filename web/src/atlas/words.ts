// What is said of a behaviour.
import { hundredths, plural } from "../card/words";
import type { Behaviour, Check } from "./types";

export const percent = (share: number): string => `${Math.round(100 * share)}\u00a0%`;
export const number = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : Math.abs(value) < 0.005 ? "0.00" : Math.abs(value) < 100 ? hundredths(value) : value.toExponential(1).replace("-", "−"));

/** What became of the answers where contexts were changed, a sentence for each rule that fits. */
export function checked({ beginnings, words }: { beginnings: Check; words: Check }): string[] {
  return [said("With another beginning", beginnings), said("With one word changed", words)];
}

function said(how: string, { n, kept, drop }: Check): string {
  if (!n || kept === null) return `${how}: no context to try it on.`;
  const fell = drop === null ? "" : drop >= 0 ? `; they lose ${hundredths(drop)} nats` : `; they gain ${hundredths(-drop)} nats`;
  return `${how} ${percent(kept)} of the answers still come (${plural(n, "context")})${fell}.`;
}

/** How far a name holds. */
export function fits({ name, fit: [precision, recall] }: Behaviour): string {
  if (!name) return "No rule holds of it; it is called after its most common last token and answer.";
  if (precision === null && recall === null) return "The name was tested on no other context.";
  return `Tested on other contexts: of those that the name is true of ${share(precision)} are of this behaviour (precision); of those that are it is true of ${share(recall)} (recall).`;
}

const share = (value: number | null): string => (value === null ? "an unknown share" : percent(value));

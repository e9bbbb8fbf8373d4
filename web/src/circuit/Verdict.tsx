import { useSignal } from "@preact/signals";
import { plural } from "../card/words";
import { download } from "./saving";
import type { View } from "./view";

/** Keep, drop and why, for one unit; wherever it stands it shows the same. */
export function Verdict({ view, address }: { view: View; address: string }) {
  const judging = view.judging!, ruling = judging.of.value.get(address)!, draft = useSignal("");
  const reason = ruling.verdict ? (ruling.reason ?? "") : draft.value;
  const choice = (verdict: "keep" | "drop", text: string) => (
    <button type="button" class={verdict} aria-pressed={ruling.verdict === verdict} onClick={() => judging.rule(address, ruling.verdict === verdict ? null : verdict, reason)}>{text}</button>
  );
  return (
    <div class="verdict" data-of={address} data-verdict={ruling.verdict ?? ""}>
      {choice("keep", "Keep")}
      {choice("drop", "Drop")}
      <input placeholder="Why?" aria-label={`Reason for ${address}`} value={reason} onInput={(e) => {
        draft.value = e.currentTarget.value;
        if (ruling.verdict) judging.rule(address, ruling.verdict, draft.value);
      }} />
      <p class="said">{ruling.verdict ? [ruling.judge, ruling.date].filter(Boolean).join(", ") : "open"}</p>
    </div>
  );
}

/** Who judges, how far it is, and the button that saves. */
export function JudgingBar({ view }: { view: View }) {
  const judging = view.judging!, { dropped, kept, open } = judging.counts.value;
  return (
    <div class="judging" role="group" aria-label="The verdicts">
      <p>Does the task need this unit? <kbd>K</kbd> keep what it may use, <kbd>D</kbd> drop what it should not, <kbd>U</kbd> undo, <kbd>N</kbd> next.</p>
      <label>Name <input id="judge" autocomplete="off" spellcheck={false} onInput={(e) => (judging.by.value = e.currentTarget.value)} /></label>
      <output id="count" aria-live="polite">{`${dropped} dropped, ${kept} kept, ${open} open`}</output>
      <button id="save" type="button" aria-label={`Save the verdicts on ${plural(dropped + kept, "unit")}`} onClick={() => {
        download(new Blob([JSON.stringify(judging.file.value)], { type: "application/json" }), "judged.json");
        judging.saved.value = true;
      }}>Save the verdicts</button>
    </div>
  );
}

/** Keys of judging, on the unit of the list that has the focus, else on the one whose node is held. */
export function judge(view: View, event: KeyboardEvent, goOn: (address: string) => void): boolean {
  const { judging } = view, card = document.activeElement?.closest<HTMLElement>("#list article");
  const address = card?.dataset.address ?? view.found(view.held.peek())?.key, ruling = address === undefined ? undefined : judging?.of.peek().get(address);
  if (!judging || !ruling || event.ctrlKey || event.metaKey || event.altKey || !"kdun".includes(event.key) || event.key.length !== 1) return false;
  if (event.key !== "n") judging.rule(address!, event.key === "k" ? "keep" : event.key === "d" ? "drop" : null, ruling.reason ?? reasonOf(address!));
  if (event.key === "u") return true;
  if (card) (card.nextElementSibling as HTMLElement | null)?.focus();
  else goOn(address!);
  return true;
}

/** What was written of a unit before it was decided. */
const reasonOf = (address: string) => [...document.querySelectorAll<HTMLElement>(".verdict")].find((box) => box.dataset.of === address)?.querySelector("input")?.value ?? "";

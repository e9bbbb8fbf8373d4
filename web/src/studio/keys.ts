// The keys that work everywhere; a view's own keys work while the focus is in it.
import { signal } from "@preact/signals";
import { go, VIEWS, type ViewName } from "./route";
import { carried } from "./carried";

export const helping = signal(false);

export const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ["?", "show or hide these keys"],
  ["1 … 8", "go to a view: Start, Circuit, Unit, Prompt, Change, Verify, Runs, Atlas"],
  ["g then s c u p h v r a", "the same by first letter (h for Change)"],
  ["/", "go to the view's first field"],
  ["Ctrl Enter", "ask, from within a field"],
  ["Esc", "give up what is waited for"],
  ["Tab, Arrows, Enter", "move between and within parts, and choose"],
];

const LETTERS: Record<string, ViewName> = {
  s: "start", c: "circuit", u: "unit", p: "prompt", h: "change", v: "verify", r: "runs", a: "atlas",
};
let gone = 0; // when "g" was pressed, which waits a moment for its letter

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");

function pressed(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const to = chosen(event.key);
  if (to) go(to, carried(to));
  else if (event.key === "?") helping.value = !helping.peek();
  else if (event.key === "/") firstField()?.focus();
  else return;
  event.preventDefault();
}

const firstField = (): HTMLElement | null =>
  document.querySelector<HTMLElement>("main [type=search]") ?? document.querySelector<HTMLElement>("main :is(input, textarea, select):not([type=radio])");

function chosen(key: string): ViewName | undefined {
  const after = Date.now() - gone < 1500;
  gone = key === "g" ? Date.now() : 0;
  return (after ? LETTERS[key] : undefined) ?? VIEWS[Number(key) - 1];
}

/** The form that a field belongs to is sent by Ctrl Enter, and what is waited for is given up by Escape. */
function within(event: KeyboardEvent): void {
  const form = event.target instanceof HTMLElement ? event.target.closest("form") : null;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form) form.requestSubmit();
  if (event.key === "Escape" && !helping.peek()) document.querySelector<HTMLButtonElement>("main .waiting button")?.click();
}

export function listen(): void {
  addEventListener("keydown", pressed);
  addEventListener("keydown", within);
}

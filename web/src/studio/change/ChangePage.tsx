import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { lines, Problem } from "../api";
import { useAsking } from "../asking";
import { Looking, useLook } from "../look/Looking";
import { Asked } from "../parts/Asked";
import { Line, Lines } from "../parts/Field";
import { Title } from "../parts/Title";
import { note, params } from "../route";
import { withView } from "../seen";
import { Behaviour } from "../start/Behaviour";
import type { ChangeEdit, ChangeLine } from "../types";
import { asText, editsIn } from "./edits";
import { NOTHING, type Outcome, withLine } from "./outcome";
import { Shown } from "./Shown";
import { Keeping } from "./Keeping";
import { Stack } from "./Stack";

const TOKENS = "20";

/** Change units, or make the edits of files, and see what the model writes before and after. */
export function ChangePage() {
  const { look, opening } = useLook();
  const { edits: kept, file, prompt = "", clean = "", patch = "", offered = "", behaviour = "", tokens = TOKENS } = params.value;
  const edits = editsIn(kept);
  const typed = useSignal(prompt);
  const outcome = useSignal<Outcome | null>(null);
  const change = useAsking((signal) => withView(look, signal, ({ id }) => stream(id, signal)));
  const stream = async (view: string, signal: AbortSignal) => {
    outcome.value = NOTHING;
    const body = { view, edits, prompt: typed.value, behaviour: behaviour || null, tokens: Number(tokens) };
    for await (const line of lines<ChangeLine>("change", body, signal)) {
      if (signal.aborted) return;
      if (line.type === "error") throw new Problem(line.error);
      outcome.value = withLine(outcome.value, line);
    }
  };
  const keep = (next: readonly ChangeEdit[]) => note({ edits: asText(next), file: "" });
  useEffect(() => {
    if (file) keep([...edits, { kind: "file", path: file, value: 1 }]);
  }, [file]);
  const submit = (event: Event) => {
    event.preventDefault();
    note({ prompt: typed.value });
    void change.run();
  };
  return (
    <>
      <Title text="Change">Turn units off, scale or set them, or make the edits of files, and see what the model writes before and after.</Title>
      <Looking look={look} opening={opening} />
      <div class="halves">
        <Stack edits={edits} onEdits={keep} look={look} view={opening.answer.value} offered={offered.split(",").filter(Boolean)} />
        <form class="panel fields" onSubmit={submit} aria-label="What it is tried on">
          <Lines
            label="Prompt" required rows={2} value={typed.value} onValue={(value) => (typed.value = value)}
            hint={patch && "Try both prompts of the circuit: a unit that is silent on one may decide the other."}
          />
          {patch && (
            <p class="row">
              {[["The clean prompt", clean], ["The patch prompt", patch]].map(([name = "", text = ""]) => (
                <button type="button" key={name} aria-pressed={typed.value === text} onClick={() => (typed.value = text)}>
                  {name}
                </button>
              ))}
            </p>
          )}
          <div class="row">
            <Line label="Tokens to write" inputMode="decimal" value={tokens} onValue={(value) => note({ tokens: value })} />
            <Behaviour label="Also measure" none="No behaviour" value={behaviour} onValue={(value) => note({ behaviour: value })} />
          </div>
          <button type="submit" class="main" disabled={!look.model || change.waiting.value}>
            Compare
          </button>
        </form>
      </div>
      <Asked of={change} what="running the model with and without" />
      {outcome.value && <Shown of={outcome.value} prompt={typed.value} />}
      {edits.length > 0 && look.model && <Keeping look={look} edits={edits} behaviour={behaviour} />}
    </>
  );
}

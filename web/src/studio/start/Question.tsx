import { type Signal, useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useAsking } from "../asking";
import { LookFields } from "../look/LookFields";
import { usual } from "../look/usual";
import { Asked } from "../parts/Asked";
import { Line, Pick } from "../parts/Field";
import { Section } from "../parts/Section";
import { go } from "../route";
import { Begun } from "../runs/Begun";
import { startRun } from "../runs/start";
import { asked, type Look } from "../seen";
import { about as offered, runs } from "../state";
import { Behaviour } from "./Behaviour";
import { Method, unfit } from "./Method";
import { goodName, SaveAs } from "./Naming";
import { BLANK, Pairs, saved, type Typed } from "./Pairs";

/** The question that a circuit answers: of which model, about what, in which parts, by which method. Args: mine: the run that it began. */
export function Question({ mine }: { mine: Signal<string> }) {
  const look = useSignal<Look>(usual(""));
  const on = useSignal("behaviour");
  const behaviour = useSignal("");
  const pairs = useSignal<readonly Typed[]>([BLANK]);
  const by = useSignal("");
  const typedName = useSignal<string | null>(null);
  const top = useSignal("60");
  const edges = useSignal(true);
  const find = useAsking(async (signal) => {
    const run = await startRun("find", { ...args(), behaviour: await about(signal) }, signal, name);
    mine.value = run.id;
  });
  const run = useComputed(() => runs.value.find(({ id }) => id === mine.value));
  const args = () => ({ ...asked(look.value), ...(by.value && { by: by.value }), top: Number(top.value) || 0, edges: edges.value && wirable(look.value) });
  const about = (signal: AbortSignal) => (on.value === "behaviour" ? behaviour.value : saved(pairs.value, signal));
  const lacking = !look.value.model ? "choose a model" : on.value === "behaviour" && !behaviour.value ? "choose what the model does" : "";
  const name = typedName.value ?? (lacking ? "" : goodName(look.value, on.value === "behaviour" ? behaviour.value : pairs.value[0]!.clean, by.value));
  const seenIn = (next: Look) => {
    look.value = next;
    const method = offered.value?.methods.find((one) => one.name === by.value);
    if (method && unfit(method, next.units)) by.value = "";
  };
  useOpened(run.value?.state === "done" ? run.value.result : null);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!lacking) void find.run();
  };
  return (
    <Section title="What happens inside the model when it does this?" class="question">
      <form class="fields" onSubmit={submit}>
        <LookFields look={look.value} onLook={seenIn} />
        <Pick
          label="About" value={on.value} onValue={(value) => (on.value = value)}
          options={[{ value: "behaviour", text: "A behaviour" }, { value: "prompts", text: "Prompts of my own" }]}
        />
        {on.value === "behaviour" ? (
          <Behaviour value={behaviour.value} onValue={(value) => (behaviour.value = value)} />
        ) : (
          <Pairs pairs={pairs.value} onPairs={(next) => (pairs.value = next)} />
        )}
        <details>
          <summary>Method and size</summary>
          <Method value={by.value} onValue={(value) => (by.value = value)} units={look.value.units} />
          <Line label="Keep the strongest" hint="Nodes, or edges of components; 0 keeps all." inputMode="decimal" value={top.value} onValue={(value) => (top.value = value)} />
          {wirable(look.value) && (
            <label class="check">
              <input type="checkbox" checked={edges.value} onChange={(event) => (edges.value = event.currentTarget.checked)} />
              Also weigh the edges between them, which are 60 at most then
            </label>
          )}
        </details>
        <SaveAs value={name} onValue={(value) => (typedName.value = value)} />
        <div class="row">
          <button type="submit" class="main" disabled={!!lacking || find.waiting.value}>
            Find the circuit
          </button>
          {lacking && <span class="soft">First {lacking}.</span>}
        </div>
      </form>
      <Asked of={find} what="starting" />
      <Begun id={mine.value} />
    </Section>
  );
}

/** Edges are weighed afterwards between units; a search over components finds them itself. */
const wirable = ({ units }: Look): boolean => units !== "components";

/** Go to a circuit when it is there. */
function useOpened(path: string | null): void {
  useEffect(() => {
    if (path) go("circuit", { path });
  }, [path]);
}

import { useComputed, useSignal } from "@preact/signals";
import { useAsking } from "../asking";
import { LookFields } from "../look/LookFields";
import { usual } from "../look/usual";
import { Asked } from "../parts/Asked";
import { Choice } from "../parts/Field";
import { Section } from "../parts/Section";
import { RunCard } from "../runs/RunCard";
import { startRun } from "../runs/start";
import { asked, type Look } from "../seen";
import { Behaviour } from "../start/Behaviour";
import { about, itemsOf, runs } from "../state";

interface Given {
  claim?: string;
  look?: Look;
  behaviour?: string;
}

/** Measure a circuit, or edits, on the held-out prompts of a behaviour. Args: what is known already of the question. */
export function Measure(given: Given) {
  const look = useSignal<Look>(given.look ?? usual(""));
  const claim = useSignal(given.claim ?? "");
  const behaviour = useSignal(given.behaviour ?? "");
  const by = useSignal("");
  const measure = useAsking((signal) => startRun("verify", args(), signal));
  const run = useComputed(() => runs.value.find(({ id }) => id === measure.answer.value?.id));
  const edits = itemsOf("edits").some(({ path }) => path === claim.value);
  const args = () => ({
    ...asked(look.value),
    ...(edits ? { edits: [claim.value] } : { circuit: claim.value }),
    behaviour: behaviour.value,
    ...(by.value && { by: by.value }),
  });
  const claims = [
    ...itemsOf("circuit").map(({ path, title }) => ({ value: path, text: title || path, group: "Circuits" })),
    ...itemsOf("edits").map(({ path, title }) => ({ value: path, text: title || path, group: "Edits" })),
  ];
  const measures = (about.value?.measures ?? []).filter(({ of }) => of === (edits ? "edits" : "circuits"));
  const submit = (event: Event) => {
    event.preventDefault();
    void measure.run();
  };
  return (
    <Section title="Measure">
      <form class="fields" onSubmit={submit}>
        {!given.claim && <Choice label="What is measured" none={claims.length ? "Choose a circuit or edits" : "The folder has no circuit and no edits"} value={claim.value} options={claims} onValue={(value) => (claim.value = value)} />}
        <Behaviour label="On" value={behaviour.value} onValue={(value) => (behaviour.value = value)} />
        <LookFields look={look.value} onLook={(next) => (look.value = next)} />
        <Choice
          label="Measure" none="Usual" value={by.value} onValue={(value) => (by.value = value)} hint={measures.find(({ name }) => name === by.value)?.about}
          options={measures.map(({ name }) => ({ value: name, text: name.replaceAll("_", " ") }))}
        />
        <button type="submit" class="main" disabled={!claim.value || !behaviour.value || !look.value.model}>
          Measure
        </button>
      </form>
      <Asked of={measure} what="starting" />
      {run.value && <RunCard run={run.value} />}
    </Section>
  );
}

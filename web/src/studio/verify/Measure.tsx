import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Bundle } from "../../circuit/types";
import { get } from "../api";
import { useAsking } from "../asking";
import { behaviourOf, lookOf, modelOf } from "../circuit/lookOf";
import { LookFields } from "../look/LookFields";
import { usual } from "../look/usual";
import { Asked } from "../parts/Asked";
import { Choice } from "../parts/Field";
import { Section } from "../parts/Section";
import { words } from "../parts/words";
import { note } from "../route";
import { Begun } from "../runs/Begun";
import { startRun } from "../runs/start";
import { asked, type Look } from "../seen";
import { Behaviour } from "../start/Behaviour";
import { about, itemsOf } from "../state";

/** Measure a circuit, or edits, on the held-out prompts of a behaviour. Args: claim: its path; what it was found in is filled in. */
export function Measure({ claim }: { claim: string }) {
  const look = useSignal<Look>(usual(""));
  const behaviour = useSignal("");
  const by = useSignal("");
  const circuits = itemsOf("circuit");
  const edits = itemsOf("edits");
  const change = edits.find(({ path }) => path === claim);
  const record = useAsking((signal) => get<Bundle>("circuit", { path: claim }, signal));
  useEffect(() => {
    if (change) {
      look.value = usual(modelOf({ model: change.model }));
      behaviour.value = behaviourOf({ behaviour: change.behaviour });
    } else if (claim)
      void record.run().then((found) => {
        if (!found) return;
        look.value = lookOf(found.circuit);
        behaviour.value = behaviourOf(found.circuit.provenance);
      });
  }, [claim]);
  const measure = useAsking((signal) => startRun("verify", args(), signal));
  const args = () => ({
    ...asked(look.value),
    ...(change ? { edits: [claim] } : { circuit: claim }),
    behaviour: behaviour.value,
    ...(by.value && { by: by.value }),
  });
  const claims = [
    ...circuits.map(({ path, title }) => ({ value: path, text: named(path, title), group: "Circuits" })),
    ...edits.map(({ path, title }) => ({ value: path, text: named(path, title), group: "Edits" })),
  ];
  const measures = (about.value?.measures ?? []).filter(({ of }) => of === (change ? "edits" : "circuits"));
  const submit = (event: Event) => {
    event.preventDefault();
    void measure.run();
  };
  return (
    <Section title="Measure">
      <form class="fields" onSubmit={submit}>
        <Choice
          label="What is measured" none={claims.length ? "Choose a circuit or edits" : "The folder has no circuit and no edits"} value={claim} options={claims}
          onValue={(value) => note({ claim: value })}
        />
        <Asked of={record} what={`reading ${claim}`} />
        <Behaviour label="On" value={behaviour.value} onValue={(value) => (behaviour.value = value)} />
        <LookFields look={look.value} onLook={(next) => (look.value = next)} />
        <Choice
          label="Measure" none={`Usual: ${words(measures.find((one) => one.default)?.name ?? "")}`} value={by.value} onValue={(value) => (by.value = value)} hint={measures.find(({ name }) => name === by.value)?.about}
          options={measures.map(({ name }) => ({ value: name, text: words(name) }))}
        />
        <button type="submit" class="main" disabled={!claim || !behaviour.value || !look.value.model}>
          Measure
        </button>
      </form>
      <Asked of={measure} what="starting" />
      <Begun id={measure.answer.value?.id} />
    </Section>
  );
}

const named = (path: string, title: string): string => (title && title !== path ? `${title} (${path})` : path);

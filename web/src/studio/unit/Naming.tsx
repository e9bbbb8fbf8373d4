import { useSignal } from "@preact/signals";
import { send } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Choice, Line } from "../parts/Field";
import { Section } from "../parts/Section";
import { announced } from "../state";
import type { Unit } from "../types";

/** What a person calls the unit, kept in a circuit that it stands in or in the index. */
export function Naming({ unit, index, saved }: { unit: Unit; index: string; saved: () => void }) {
  const places = [...(index ? [{ value: `index:${index}`, text: index, group: "Index" }] : []), ...unit.circuits.map(({ path, title }) => ({ value: `path:${path}`, text: title || path, group: "Circuit" }))];
  const text = useSignal(unit.labels.find(({ kind }) => kind === "person")?.text ?? "");
  const place = useSignal(places[0]?.value ?? "");
  const save = useAsking(async (signal) => {
    const [where = "", path = ""] = place.value.split(/:(.*)/s);
    await send("PUT", "unit/label", {}, { address: unit.address, text: text.value, [where]: path }, signal);
    announced.value = `Saved the name of ${unit.address}`;
    saved();
  });
  if (!places.length) return null;
  const submit = (event: Event) => {
    event.preventDefault();
    void save.run();
  };
  return (
    <Section title="Your name for it">
      <form class="fields" onSubmit={submit}>
        <Line label="Name" hint="Left empty, your name is taken off." value={text.value} onValue={(value) => (text.value = value)} />
        <Choice label="Kept in" value={place.value} onValue={(value) => (place.value = value)} options={places} />
        <button type="submit">Save</button>
      </form>
      <Asked of={save} what="saving" />
    </Section>
  );
}

import { useSignal } from "@preact/signals";
import { Choice, Line } from "../parts/Field";
import { Section } from "../parts/Section";
import type { Look } from "../seen";
import { itemsOf } from "../state";
import type { ChangeEdit, View } from "../types";
import { Called } from "./Called";
import { KINDS, said } from "./edits";
import { Held } from "./Held";

interface Given {
  edits: readonly ChangeEdit[];
  onEdits: (edits: readonly ChangeEdit[]) => void;
  /** How the model is looked at, and that as it is open; null as long as it is not. */
  look: Look;
  view: View | null;
  /** Units of a circuit, the strongest first. */
  offered: string[];
}

/** The edits in force, in their order, and a form for one more. */
export function Stack({ edits, onEdits, look, view, offered }: Given) {
  return (
    <Section title="What is changed">
      {edits.length === 0 && <p class="empty">Nothing yet: the model as it is.</p>}
      <ol class="stack">
        {edits.map((edit, i) => (
          <li key={i}>
            <span class="mono">{said(edit)}</span>{" "}
            {edit.address && view && <Called look={look} address={edit.address} />}
            <button type="button" class="quiet" aria-label={`Take out: ${said(edit)}`} onClick={() => onEdits(edits.filter((_, j) => j !== i))}>
              Take out
            </button>
            {edit.path && <Held path={edit.path} />}
          </li>
        ))}
      </ol>
      <One view={view} offered={offered} add={(edit) => onEdits([...edits, edit])} />
    </Section>
  );
}

const PLACES = [{ value: "", text: "everywhere" }, { value: "prompt", text: "the prompt" }, { value: "response", text: "what is written" }, { value: "last", text: "the last token" }];

function One({ view, offered, add }: Pick<Given, "view" | "offered"> & { add: (edit: ChangeEdit) => void }) {
  const kind = useSignal<ChangeEdit["kind"]>("zero");
  const address = useSignal("");
  const value = useSignal("1");
  const where = useSignal("");
  const path = useSignal("");
  const known = KINDS.find(([name]) => name === kind.value)!;
  const ofFile = kind.value === "file";
  const number = Number(value.value);
  const whole = (ofFile ? path.value : address.value.trim()) !== "" && (!known[2] || (value.value.trim() !== "" && Number.isFinite(number)));
  const submit = (event: Event) => {
    event.preventDefault();
    if (!whole) return;
    add({
      kind: kind.value,
      ...(ofFile ? { path: path.value } : { address: address.value.trim() }),
      ...(known[2] && { value: number }),
      ...(where.value && !ofFile && { where: where.value }),
    });
    address.value = "";
  };
  const files = itemsOf("edits").map(({ path: file, title }) => ({ value: file, text: title && title !== file ? `${title} (${file})` : file }));
  return (
    <form class="one" onSubmit={submit} aria-label="One more edit">
      <Choice label="Edit" value={kind.value} onValue={(next) => (kind.value = next as ChangeEdit["kind"])} options={KINDS.map(([name, text]) => ({ value: name, text }))} />
      {ofFile ? (
        <Choice label="File" value={path.value} none={files.length ? "Choose a file" : "The folder has no edits"} onValue={(next) => (path.value = next)} options={files} />
      ) : (
        <Line
          label="Unit" mono placeholder={`${view?.sites[0]?.site ?? "resid.3"}/17`} value={address.value} onValue={(next) => (address.value = next)}
          {...(offered.length > 0 && { list: offered, hint: "Those of the circuit are offered, the strongest first." })}
        />
      )}
      {known[2] && <Line label={known[2]} inputMode="decimal" value={value.value} onValue={(next) => (value.value = next)} />}
      {!ofFile && <Choice label="At" value={where.value} onValue={(next) => (where.value = next)} options={PLACES} />}
      <button type="submit" disabled={!whole}>
        Add
      </button>
    </form>
  );
}

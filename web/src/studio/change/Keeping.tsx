import { useSignal } from "@preact/signals";
import { link, send } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Line } from "../parts/Field";
import { Section } from "../parts/Section";
import { words } from "../parts/words";
import { Begun } from "../runs/Begun";
import { startRun } from "../runs/start";
import { asked, type Look, withView } from "../seen";
import { about, glance } from "../state";
import type { ChangeEdit, Item } from "../types";

/** Save the edits together as a file, and have their effect measured. */
export function Keeping({ look, edits, behaviour }: { look: Look; edits: readonly ChangeEdit[]; behaviour: string }) {
  const name = useSignal("");
  const save = useAsking((signal) =>
    withView(look, signal, async ({ id }) => {
      const item = await send<Item>("POST", "change/save", {}, { view: id, edits, name: name.value.trim() }, signal);
      glance();
      return { path: item.path, view: id };
    }),
  );
  const saved = save.answer.value;
  const verify = useAsking((signal) => startRun("verify", { ...asked(look), edits: [saved!.path], behaviour }, signal));
  const submit = (event: Event) => {
    event.preventDefault();
    void save.run();
  };
  return (
    <Section title="Keep these edits">
      <form class="ask" onSubmit={submit}>
        <Line label="Name" required value={name.value} onValue={(value) => (name.value = value)} />
        <button type="submit">Save</button>
        {saved && (
          <button type="button" disabled={!behaviour} onClick={() => void verify.run()}>
            Verify {saved.path}
          </button>
        )}
      </form>
      <Asked of={save} what="saving" />
      <Asked of={verify} what="starting" />
      {saved && <Saved path={saved.path} view={saved.view} behaviour={behaviour} />}
      <Begun id={verify.answer.value?.id} />
    </Section>
  );
}

/** Where the file lies, and the same for other tools. */
function Saved({ path, view, behaviour }: { path: string; view: string; behaviour: string }) {
  return (
    <p class="soft">
      Saved as {path}.{!behaviour && " Choose a behaviour above to verify it on."} Download it as{" "}
      {(about.value?.edit_formats ?? []).map((format, i) => (
        <span key={format}>
          {i > 0 && ", "}
          <a href={link("edits/export", { path, format, view })} download>
            {words(format)}
          </a>
        </span>
      ))}
      .
    </p>
  );
}

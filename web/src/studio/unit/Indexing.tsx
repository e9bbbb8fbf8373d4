import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Choice, Line } from "../parts/Field";
import { Begun } from "../runs/Begun";
import { startRun } from "../runs/start";
import { asked, type Look } from "../seen";
import { itemsOf, runs } from "../state";

const TOKENS = "100000";

/** Read a text and write down where the units of this view fire, so that it can be told here. Args: done: told once that is there. */
export function Indexing({ look, done }: { look: Look; done: () => void }) {
  const files = itemsOf("text").map(({ path }) => ({ value: path, group: "In the folder" }));
  const text = useSignal(files[0]?.value ?? "wikipedia");
  const tokens = useSignal(TOKENS);
  const make = useAsking((signal) => startRun("index", { ...asked(look), texts: [text.value], tokens: Number(tokens.value) || Number(TOKENS) }, signal));
  const id = make.answer.value?.id;
  const state = runs.value.find((one) => one.id === id)?.state;
  useEffect(() => {
    if (state === "done") done();
  }, [state]);
  const submit = (event: Event) => {
    event.preventDefault();
    void make.run();
  };
  return (
    <>
      <form class="fields" onSubmit={submit} aria-label="Make an index">
        <p class="hint">An index is made once, by reading a text. It then tells of every unit seen here how often, how strongly and in which contexts it fires.</p>
        <div class="row">
          <Choice label="Text to read" value={text.value} onValue={(value) => (text.value = value)} options={[...files, { value: "wikipedia", text: "Wikipedia (fetched once)", group: "Offered" }]} />
          <Line label="Tokens of it at most" inputMode="decimal" value={tokens.value} onValue={(value) => (tokens.value = value)} />
        </div>
        <button type="submit" disabled={state === "running" || state === "waiting"}>
          Make an index
        </button>
      </form>
      <Asked of={make} what="starting" />
      <Begun id={id} />
    </>
  );
}

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Asking, useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { note, params } from "../route";
import { asParams, type Look, lookIn, openView } from "../seen";
import type { View } from "../types";
import { LookFields } from "./LookFields";
import { inWords } from "./usual";

/** The model that the hash names, opened. */
export function useLook(): { look: Look; opening: Asking<[Look], View> } {
  const look = lookIn(params.value);
  const key = JSON.stringify(look);
  const opening = useAsking<[Look], View>((signal, wanted) => openView(wanted, signal));
  useEffect(() => {
    if (look.model) void opening.run(look);
  }, [key]);
  return { look, opening };
}

/** Which model one looks at, in a line that opens to change it. */
export function Looking({ look, opening }: { look: Look; opening: Asking<[Look], View> }) {
  const draft = useSignal(look);
  const open = useSignal(!look.model);
  useEffect(() => {
    draft.value = look;
    if (!look.model) open.value = true;
  }, [JSON.stringify(look)]);
  const submit = (event: Event) => {
    event.preventDefault();
    open.value = false;
    note(asParams(draft.value));
    void opening.run(draft.value);
  };
  const view = opening.answer.value;
  return (
    <section class="look" aria-label="The model that is looked at">
      <details open={open.value} onToggle={(event) => (open.value = event.currentTarget.open)}>
        <summary>{look.model ? inWords(look) : "Choose a model to look at"}</summary>
        <form class="fields" onSubmit={submit}>
          <LookFields look={draft.value} onLook={(next) => (draft.value = next)} />
          <button type="submit" class="main" disabled={!draft.value.model}>
            Open
          </button>
        </form>
        {view && view.said.length > 0 && (
          <ul class="notes">
            {view.said.map((said) => (
              <li key={said}>{said}</li>
            ))}
          </ul>
        )}
      </details>
      <Asked of={opening} what={`opening ${draft.value.model}`} />
    </section>
  );
}

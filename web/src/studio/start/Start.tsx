import { useSignal } from "@preact/signals";
import { Title } from "../parts/Title";
import { about, busy, items } from "../state";
import { RunCard } from "../runs/RunCard";
import { Items } from "./Items";
import { Question } from "./Question";

/** Kinds of what a question starts from; all else was found. */
const BROUGHT = ["model", "dictionary", "behaviour"];

/** What the folder holds, and a question to ask. */
export function Start() {
  const listed = items.value ?? [];
  const found = listed.some(({ kind }) => !BROUGHT.includes(kind));
  const asking = useSignal(!found || matchMedia("(min-width: 900px)").matches);
  const mine = useSignal("");
  const folder = about.value?.folder ?? "";
  return (
    <>
      <Title text={folder.split(/[\\/]/).filter(Boolean).pop() ?? "The folder"}>
        {found ? `What ${folder} holds.` : "Nothing has been found here yet. Ask a first question; what comes of it is kept in this folder."}
      </Title>
      {busy.value.filter(({ id }) => id !== mine.value).map((run) => (
        <RunCard key={run.id} run={run} />
      ))}
      <div class={listed.length ? (found ? "beside" : "beside first") : ""}>
        {listed.length > 0 && <Items items={listed} />}
        <section aria-label="A question">
          {asking.value ? (
            <Question mine={mine} />
          ) : (
            <button type="button" class="main" onClick={() => (asking.value = true)}>
              Find another circuit
            </button>
          )}
        </section>
      </div>
    </>
  );
}

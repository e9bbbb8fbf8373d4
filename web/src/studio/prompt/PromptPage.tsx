import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { send } from "../api";
import { useAsking } from "../asking";
import { Looking, useLook } from "../look/Looking";
import { Asked } from "../parts/Asked";
import { Lines } from "../parts/Field";
import { Section } from "../parts/Section";
import { Title } from "../parts/Title";
import { note, params } from "../route";
import { withView } from "../seen";
import type { PromptAnswer } from "../types";
import { Attention } from "./Attention";
import { Firing } from "./Firing";
import { Lens } from "./Lens";
import { Next } from "../parts/Next";

const TOP = 10;

/** What the model makes of a text: what fires at each token, what each layer would say next, where a head looks. */
export function PromptPage() {
  const { look, opening } = useLook();
  const { text = "" } = params.value;
  const typed = useSignal(text);
  const prompt = useAsking((signal, wanted: string) =>
    withView(look, signal, ({ id }) => send<PromptAnswer>("POST", "prompt", {}, { view: id, text: wanted, top: TOP }, signal)),
  );
  useEffect(() => {
    typed.value = text;
    if (text && look.model) void prompt.run(text);
  }, [text, JSON.stringify(look)]);
  const submit = (event: Event) => {
    event.preventDefault();
    if (typed.value === text) void prompt.run(text);
    else note({ text: typed.value });
  };
  const answer = prompt.answer.value;
  const view = opening.answer.value;
  return (
    <>
      <Title text="Prompt">Type a text and see what fires at each token, what each layer would say next, and where heads look.</Title>
      <Looking look={look} opening={opening} />
      <form class="ask" onSubmit={submit}>
        <Lines label="Text" required rows={2} value={typed.value} onValue={(value) => (typed.value = value)} />
        <button type="submit" class="main" disabled={!look.model}>
          Run
        </button>
      </form>
      <Asked of={prompt} what="running the model" />
      {answer && (
        <>
          <div class="halves">
            <Firing answer={answer} look={look} />
            <Section title="The next token">
              <Next odds={answer.next} />
            </Section>
          </div>
          <Lens answer={answer} />
          {view && view.heads > 0 && <Attention look={look} view={view} text={text} />}
        </>
      )}
    </>
  );
}

import { useSignal } from "@preact/signals";
import { send } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Lines } from "../parts/Field";
import { Heat } from "../parts/Heat";
import { Section } from "../parts/Section";
import { brief, plural, shown } from "../parts/words";
import { type Look, withView } from "../seen";
import type { Fires as Answer } from "../types";

const MOST = 5;

/** A text of one's own, and where the unit fires in it. */
export function Fires({ look, address }: { look: Look; address: string }) {
  const text = useSignal("");
  const fires = useAsking((signal) => withView(look, signal, ({ id }) => send<Answer>("POST", "fires", {}, { view: id, address, text: text.value }, signal)));
  const submit = (event: Event) => {
    event.preventDefault();
    void fires.run();
  };
  return (
    <Section title="Try a text of your own">
      <form onSubmit={submit}>
        <Lines label="Text" required rows={3} value={text.value} onValue={(value) => (text.value = value)} />
        <button type="submit">See where it fires</button>
      </form>
      <Asked of={fires} what="running the model" />
      {fires.answer.value && <Shown of={fires.answer.value} />}
    </Section>
  );
}

function Shown({ of: { tokens, values, fires } }: { of: Answer }) {
  const order = values.map((value, at) => ({ value, at })).filter(({ at }) => fires[at]);
  order.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  return (
    <div aria-live="polite">
      <Heat tokens={tokens} values={values.map((value, i) => (fires[i] ? value : 0))} label="The text, shaded where the unit fires" />
      <p class="soft">
        Fires at {order.length} of {plural(tokens.length, "token")}.
      </p>
      {order.length > 0 && (
        <table class="numbers">
          <thead>
            <tr>
              <th scope="col">Position</th>
              <th scope="col">Token</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {order.slice(0, MOST).map(({ at, value }) => (
              <tr key={at}>
                <td>{at}</td>
                <th scope="row" class="mono">
                  {shown(tokens[at] ?? "")}
                </th>
                <td>{brief(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

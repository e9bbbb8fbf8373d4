import { render } from "preact";
import { shown } from "./card/words";
import { CircuitView } from "./circuit/CircuitView";
import { memoryOf } from "./circuit/memory";
import type { Bundle } from "./circuit/types";
import { Thread } from "./Thread";
import "../../clew/apps/pages/frame.css";
import "./page.css";

// A circuit as one file: what it is, the view, and how it was made.

const data = JSON.parse(document.getElementById("data")!.textContent!) as Bundle;
const memory = memoryOf(data);

function Page() {
  const { title, words, prompts, made, report, sides } = data;
  return (
    <>
      <header>
        <div>
          <h1 id="title">{title}</h1>
          <p id="words">{words}</p>
          {sides?.said.map((line) => <p key={line}>{line}</p>)}
          <dl id="prompts">
            {prompts.map(({ name, text, answers }) => (
              <>
                <dt>{name}</dt>
                <dd>{`“${text}” `}{answers.length > 0 && <b>{`→ ${answers.map((answer) => shown(answer).trim()).join(", ")}`}</b>}</dd>
              </>
            ))}
          </dl>
        </div>
        <Thread />
      </header>
      <main><CircuitView data={data} memory={memory} /></main>
      <footer>
        <h2>How this was made</h2>
        <div id="made">{made.map((sentence) => <p key={sentence}>{sentence}</p>)}</div>
        {report && report.notes.length > 0 && (
          <details id="noted"><summary>What the measure says of itself</summary><ul id="notes">{report.notes.map((note) => <li key={note}>{note}</li>)}</ul></details>
        )}
      </footer>
    </>
  );
}

const root = document.getElementById("page")!;
root.replaceChildren(); // its title was for readers without a script
render(<Page />, root);

import { render } from "preact";
import { AtlasView } from "./atlas/AtlasView";
import type { Atlas } from "./atlas/types";
import { Thread } from "./Thread";
import "../../clew/apps/pages/frame.css";
import "./page.css";

// An atlas as one file: what it is, the view, and how it was made.

const data = JSON.parse(document.getElementById("data")!.textContent!) as Atlas;

const Page = () => (
  <>
    <header>
      <div>
        <h1 id="title">{data.title}</h1>
        <p id="words">{data.words}</p>
      </div>
      <Thread />
    </header>
    <main><AtlasView data={data} /></main>
    <footer>
      <h2>How this was made</h2>
      <dl class="facts">{data.made.map(([name, text]) => <div key={name}><dt>{name.replaceAll("_", " ")}</dt><dd>{text}</dd></div>)}</dl>
    </footer>
  </>
);

const root = document.getElementById("page")!;
root.replaceChildren(); // its title was for readers without a script
render(<Page />, root);

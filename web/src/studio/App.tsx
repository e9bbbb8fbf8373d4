import { useEffect } from "preact/hooks";
import { announced, about, connected, items, trouble, begin } from "./state";
import { params, view, type ViewName } from "./route";
import { Bar } from "./Bar";
import { Keys } from "./Keys";
import { Waiting } from "./parts/Asked";
import { Start } from "./start/Start";
import { CircuitPage } from "./circuit/CircuitPage";
import { UnitPage } from "./unit/UnitPage";
import { PromptPage } from "./prompt/PromptPage";
import { ChangePage } from "./change/ChangePage";
import { VerifyPage } from "./verify/VerifyPage";
import { RunsPage } from "./runs/RunsPage";
import { AtlasPage } from "./atlas/AtlasPage";

const PAGES: Record<ViewName, () => preact.JSX.Element> = {
  start: Start, circuit: CircuitPage, unit: UnitPage, prompt: PromptPage, change: ChangePage, verify: VerifyPage, runs: RunsPage, atlas: AtlasPage,
};

export function App() {
  const Page = PAGES[view.value];
  useFocusOnChange(view.value);
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>
        Skip to what is shown
      </a>
      <Bar />
      <main id="main" tabIndex={-1}>
        {trouble.value ? <Trouble /> : (about.value && items.value) || !listing(view.value) ? <Page key={view.value} /> : <Waiting what="asking the studio what is here" />}
      </main>
      <p class="hidden" role="status">
        {connected.value ? announced.value : "The studio does not answer; trying again."}
      </p>
      <Keys />
    </>
  );
}

/** Whether a view lists what is here, and so waits for that. */
const listing = (name: ViewName): boolean => name === "start" || name === "verify" || ((name === "circuit" || name === "atlas") && !params.value.path);

function Trouble() {
  return (
    <section class="panel">
      <h1>The studio cannot be read</h1>
      <p class="wrong" role="alert">
        {trouble.value}
      </p>
      <button type="button" onClick={() => void begin()}>
        Try again
      </button>
    </section>
  );
}

/** Skipping moves the focus alone: the hash says which view it is. */
function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** After a change of view the focus is on its title, where a reader would go on; at first it is left alone. */
function useFocusOnChange(name: ViewName): void {
  useEffect(() => {
    const title = document.querySelector<HTMLElement>("main h1");
    if (document.activeElement !== document.body || entered) title?.focus();
    entered = true;
    scrollTo(0, 0);
  }, [name]);
}
let entered = false;

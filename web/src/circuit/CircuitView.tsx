import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Card } from "./Card";
import { Chart } from "./Chart";
import { Groups, Selection } from "./Groups";
import { press, visit } from "./keys";
import { hash, parsed, written, type Link } from "./link";
import type { Memory } from "./memory";
import { Predicted } from "./Predicted";
import { Stage } from "./Stage";
import { Tools } from "./Tools";
import type { Bundle, On } from "./types";
import { Units, unitsOf } from "./Units";
import { judge, JudgingBar } from "./Verdict";
import { createView, type View } from "./view";
import "./circuit.css";

const NOTHING: On = {};

/**
 * A circuit to look at, and to name, group and judge. `link` keeps what is looked at, the page's address by default;
 * `memory` what a person names and groups, where no server does.
 */
export function CircuitView({ data, on = NOTHING, link = hash, memory }: { data: Bundle; on?: On; link?: Link; memory?: Memory }) {
  const view = useMemo(() => createView(data, on, memory), [data]);
  useLink(view, link);
  useKeys(view);
  return (
    <div class="circuit">
      <Tools view={view} />
      {view.judging && <JudgingBar view={view} />}
      <div class="columns">
        <div class="first">
          <div class="framed"><Stage view={view} /><Selection view={view} /></div>
          <Units view={view} />
        </div>
        <aside>
          <Card view={view} />
          <Groups view={view} />
          <Chart view={view} />
          <Predicted view={view} />
          {memory && <Kept memory={memory} />}
        </aside>
      </div>
      <p class="hidden" role="status">{view.said}</p>
    </div>
  );
}

/** What becomes of names and groups when the page is closed. */
const Kept = ({ memory }: { memory: Memory }) => (
  <p class="kept">
    {memory.keeps.value
      ? "Names and groups that you give are kept in this browser, for this circuit. “Save as” gives them as a file."
      : "This browser keeps nothing for this page: names and groups that you give are lost when it is closed, unless you take them with “Save as”, “JSON: the circuit”."}
  </p>
);

/** What the address says is shown, and what is shown is written there. */
function useLink(view: View, link: Link) {
  useEffect(() => {
    const follow = () => view.restore(parsed(link.read()));
    // The stage must have its size before it can be moved.
    const first = requestAnimationFrame(() => {
      follow();
      if (view.judging && view.held.peek() === null) goOn(view, null);
    });
    addEventListener("hashchange", follow);
    return () => {
      cancelAnimationFrame(first);
      removeEventListener("hashchange", follow);
    };
  }, [view, link]);
  useSignalEffect(() => {
    const text = written(view.state.value, view.usual), wait = setTimeout(() => text !== link.read() && !(text === "" && !link.read().includes("=")) && link.write(text), 250);
    return () => clearTimeout(wait);
  });
}

function useKeys(view: View) {
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      if (event.defaultPrevented) return;
      const typing = (event.target as Element | null)?.matches?.("input, textarea, select");
      if (press(view, event) || (!typing && (walked(event) || judge(view, event, (address) => goOn(view, address))))) event.preventDefault();
    };
    const leaves = (event: BeforeUnloadEvent) => ((view.judging?.saved.peek() === false && !view.on.verdicts) || view.memory?.loses()) && event.preventDefault();
    addEventListener("keydown", down);
    addEventListener("beforeunload", leaves);
    return () => {
      removeEventListener("keydown", down);
      removeEventListener("beforeunload", leaves);
    };
  }, [view]);
}

/** Up and down in the list of units. */
function walked(event: KeyboardEvent): boolean {
  const card = document.activeElement?.closest("#list article"), to = { ArrowDown: card?.nextElementSibling, ArrowUp: card?.previousElementSibling }[event.key];
  (to as HTMLElement | null | undefined)?.focus();
  return Boolean(to);
}

/** To the next unit that is open. */
function goOn(view: View, after: string | null) {
  const units = unitsOf(view.base.peek().ranked), next = view.judging!.next(after, (address) => units.has(address));
  const item = next === undefined ? undefined : units.get(next)!.nodes[0];
  if (item && after !== null) visit(view, item);
  else if (item) view.go(item);
}

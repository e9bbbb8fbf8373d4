import { link } from "../api";
import { useAsking } from "../asking";
import { carried } from "../carried";
import { Asked } from "../parts/Asked";
import { Choice } from "../parts/Field";
import { href, note } from "../route";
import { Begun } from "../runs/Begun";
import { startRun } from "../runs/start";
import { asked, asParams, type Look } from "../seen";
import { itemsOf, runs } from "../state";
import type { Bundle } from "../../circuit/types";
import { behaviourOf } from "./lookOf";

const FORMATS: readonly (readonly [format: string, what: string])[] = [
  ["json", "as it is"], ["attribution_graph", "attribution graph"], ["graphml", "GraphML"], ["subgraph", "subgraph record"],
];

interface Given {
  bundle: Bundle;
  path: string;
  other: string;
  look: Look;
}

/** What can be done with a circuit: compare, verify, wire, name, change its units, download it. */
export function Tools({ bundle, path, other, look }: Given) {
  const behaviour = behaviourOf(bundle.circuit.provenance);
  const others = itemsOf("circuit").filter((one) => one.path !== path);
  return (
    <div class="tools-of">
      {others.length > 0 && (
        <Choice label="Compare with" none="No other circuit" value={other} onValue={(value) => note({ with: value })} options={others.map((one) => ({ value: one.path, text: one.title || one.path }))} />
      )}
      <a class="button" href={href("change", { ...carried("change"), ...asParams(look), behaviour })}>
        Change its units
      </a>
      {!other && (
        <>
          <a class="button" href={href("verify", { claim: path })}>
            Verify
          </a>
          {bundle.circuit.edges.weight.length === 0 && behaviour && <Wiring path={path} look={look} behaviour={behaviour} />}
          <Naming path={path} look={look} />
          <details>
            <summary class="button">Download</summary>
            <ul class="list">
              {FORMATS.map(([format, what]) => (
                <li key={format}>
                  <a href={link("circuit/export", { path, format })} download>
                    {what}
                  </a>
                </li>
              ))}
            </ul>
          </details>
        </>
      )}
    </div>
  );
}

/** How its nodes are wired, where it has no edges yet; comes as a circuit of its own. */
function Wiring({ path, look, behaviour }: { path: string; look: Look; behaviour: string }) {
  const wire = useAsking((signal) => startRun("edges", { ...asked(look), circuit: path, behaviour }, signal));
  const run = runs.value.find(({ id }) => id === wire.answer.value?.id);
  return (
    <>
      <button type="button" disabled={wire.waiting.value || run?.state === "running"} onClick={() => void wire.run()}>
        Weigh its edges
      </button>
      <Asked of={wire} what="starting" />
      <Begun id={wire.answer.value?.id} />
    </>
  );
}

/** Names for its units, from an index of where they fire. */
function Naming({ path, look }: { path: string; look: Look }) {
  const indexes = itemsOf("index");
  const name = useAsking((signal, index: string) => startRun("explain", { ...asked(look), index, circuit: path }, signal));
  if (!indexes.length) return null;
  return (
    <details>
      <summary class="button">Name its units</summary>
      <Choice label="From the index" none="Choose an index" value="" onValue={(index) => void name.run(index)} options={indexes.map((one) => ({ value: one.path }))} />
      <Asked of={name} what="starting" />
      <Begun id={name.answer.value?.id} />
    </details>
  );
}

import { shown } from "./words";
import type { Example } from "../circuit/types";

/** What is known of a unit: on what it fires, what it raises and lowers, where. */
export interface Facts {
  shape: string;
  tokens?: string[];
  promotes?: string[];
  suppresses?: string[];
  examples: Example[];
}

export function Known({ facts, most, contexts = 3, components = false }: { facts: Facts; most: number; contexts?: number; components?: boolean }) {
  const { tokens, promotes, suppresses, examples } = facts;
  if (facts.shape === "group") return null;
  if (facts.shape === "error") return <p class="unnamed">What the dictionary leaves out at this site; it has no tokens of its own.</p>;
  return (
    <>
      {tokens === undefined && <p class="unnamed">{components ? "Reads the stream; what comes of it is written by its head or MLP." : "No text was read for it, so nothing is known of what it fires on."}</p>}
      {tokens?.length === 0 && <p class="unnamed">Fires on nothing that was read.</p>}
      {tokens && tokens.length > 0 && <Tokens name="Fires most on" tokens={tokens.slice(0, most)} />}
      {promotes && promotes.length > 0 && <Tokens name="Promotes" tokens={promotes.slice(0, most)} />}
      {contexts > 0 && suppresses && suppresses.length > 0 && <Tokens name="Suppresses" tokens={suppresses.slice(0, most)} />}
      {contexts > 0 && examples.length > 0 && <div><h3>In context</h3>{examples.slice(0, contexts).map((one, i) => <Context key={i} example={one} />)}</div>}
    </>
  );
}

const Tokens = ({ name, tokens }: { name: string; tokens: readonly string[] }) => (
  <div><h3>{name}</h3><div class="chips">{tokens.map((token, i) => <span key={i} class="chip">{shown(token)}</span>)}</div></div>
);

/** A text with the tokens on which a unit fires shaded by how strongly. */
export function Context({ example }: { example: Example }) {
  if (typeof example !== "object" || example === null || !Array.isArray(example.tokens)) {
    const [before, rest = ""] = String(example).split(/«(.*)/s), [here, after] = rest.split(/»(.*)/s);
    return <div class="example">{after === undefined ? String(example) : <>{before}<Hot text={here!} heat={40} />{after}</>}</div>;
  }
  const values = (example.values ?? []).map(Number), most = Math.max(...values, 1e-9);
  const texts = example.tokens.map((token, k) => (k ? String(token) : String(token).trimStart()));
  return <div class="example">{texts.map((text, k) => (values[k]! > 0 ? <Hot key={k} text={text} heat={12 + 58 * (values[k]! / most)} /> : text))}</div>;
}

const Hot = ({ text, heat }: { text: string; heat: number }) => <mark style={{ "--heat": `${Math.round(heat)}%` }}>{text}</mark>;

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Said } from "../circuit/types";
import { Known, type Facts } from "./Known";
import { signed, signOf, sized } from "./words";
import "./card.css";

/** Of a unit, a supernode, or a node of a circuit: what a card says. */
export interface CardOf extends Facts {
  address: string;
  name: string;
  label: string;
  group?: string;
  said: readonly Said[];
  score?: number;
  error?: number | null;
}

/** The name with how it was tested, the effect with its standard error, and what is known; ties and verdicts as children. */
export function UnitCard({ of, place, rename, components, children }: {
  of: CardOf;
  place?: string;
  rename?: ((text: string) => void) | undefined;
  components?: boolean;
  children?: ComponentChildren;
}) {
  return (
    <>
      <div class="address">{of.address}</div>
      <Named of={of} rename={rename} />
      {of.score !== undefined && <Effect score={of.score} error={of.error} />}
      {place && <div class="effect">{place}</div>}
      <Known facts={of} most={8} components={components} />
      {children}
    </>
  );
}

export function Effect({ score, error }: { score: number; error?: number | null | undefined }) {
  return (
    <div class={`effect ${signOf(score)}`}>
      <b>{signed(score)}</b>
      {error !== null && error !== undefined && <span title="standard error over examples">± {sized(error)}</span>}
      <span title="what changing it, to its value on the patch prompt or to none, does to the behaviour; a unit may support it by firing or by being silent">{score < 0 ? "opposes the behaviour" : "supports the behaviour"}</span>
    </div>
  );
}

/** A name is shown with how it was tested; of one that nobody tested that is said. */
export function Named({ of, rename }: { of: Pick<CardOf, "address" | "name" | "label" | "group" | "said">; rename?: ((text: string) => void) | undefined }) {
  const writes = useSignal(false), first = of.said[0], named = of.label || of.group;
  useEffect(() => {
    writes.value = false;
  }, [of.address]);
  return (
    <div class="named">
      {writes.value && rename ? (
        <Writing text={first?.text ?? of.label} address={of.address} done={(text) => {
          writes.value = false;
          if (text !== null) rename(text);
        }} />
      ) : (
        <p class={named ? "label" : "label unnamed"}>
          {first?.text ?? (named || of.name)}
          {rename && <button type="button" class="rename" aria-label={`Rename ${of.address}`} title="Rename" onClick={() => (writes.value = true)}>✎</button>}
        </p>
      )}
      {first && <Tests label={first} />}
      {of.said.slice(1).map((other, i) => <div key={i}><p class="label other">{other.text}</p><Tests label={other} /></div>)}
    </div>
  );
}

function Writing({ text, address, done }: { text: string; address: string; done: (text: string | null) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => input.current!.select(), []);
  return (
    <form class="writing" onSubmit={(e) => {
      e.preventDefault();
      done(input.current!.value);
    }}>
      <input ref={input} defaultValue={text} aria-label={`Name of ${address}`} autocomplete="off" onKeyDown={(e) => {
        if (e.key === "Escape") done(null);
        e.stopPropagation();
      }} />
      <button type="submit">Keep</button>
    </form>
  );
}

const Tests = ({ label }: { label: Said }) => (label.kind ? <p class="tested" title={label.all}>{`${label.kind}${label.kind === "your words" ? "" : `, ${label.tested || "not tested"}`}`}</p> : null);

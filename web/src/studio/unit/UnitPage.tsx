import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../api";
import { useAsking } from "../asking";
import { carried } from "../carried";
import { asText } from "../change/edits";
import { Looking, useLook } from "../look/Looking";
import { Asked } from "../parts/Asked";
import { Choice, Line } from "../parts/Field";
import { Title } from "../parts/Title";
import { href, note, params } from "../route";
import { asParams, withView } from "../seen";
import { itemsOf } from "../state";
import type { Unit } from "../types";
import { Fires } from "./Fires";
import { Known } from "./Known";
import { Near, Stands } from "./Near";
import { Naming } from "./Naming";

/** One unit: what is known of it, what is said of it, and where it fires in a text of one's own. */
export function UnitPage() {
  const { look, opening } = useLook();
  const { address = "", index = "" } = params.value;
  const typed = useSignal(address);
  const unit = useAsking((signal, wanted: string, from: string) =>
    withView(look, signal, ({ id }) => get<Unit>("unit", { view: id, address: wanted, index: from }, signal)),
  );
  useEffect(() => {
    typed.value = address;
    if (address && look.model) void unit.run(address, index);
  }, [address, index, JSON.stringify(look)]);
  const submit = (event: Event) => {
    event.preventDefault();
    if (typed.value === address) void unit.run(address, index);
    else note({ address: typed.value.trim() });
  };
  const known = unit.answer.value;
  const indexes = itemsOf("index");
  const sites = opening.answer.value?.sites ?? [];
  return (
    <>
      <Title text={known ? known.address : "Unit"}>{known?.words ?? "What a feature, a neuron or a head fires on, does, and is called."}</Title>
      <Looking look={look} opening={opening} />
      <form class="ask" onSubmit={submit}>
        <Line
          label="Address" mono required placeholder={`${sites[0]?.site ?? "resid.3"}/17`} value={typed.value} onValue={(value) => (typed.value = value)}
          list={sites.map(({ site }) => `${site}/0`)}
        />
        {indexes.length > 0 && (
          <Choice label="Index" none="The first that holds it" value={index} onValue={(value) => note({ index: value })} options={indexes.map(({ path }) => ({ value: path }))} />
        )}
        <button type="submit" class="main" disabled={!look.model}>
          Show
        </button>
      </form>
      <Asked of={unit} what={`reading ${address}`} />
      {known && (
        <div class="halves" key={known.address}>
          <Known unit={known} look={look} again={() => void unit.run(address, index)} />
          <div>
            <Naming unit={known} index={index} saved={() => void unit.run(address, index)} />
            <p class="row">
              <a class="button" href={href("change", { ...carried("change"), ...asParams(look), edits: asText([{ kind: "zero", address: known.address }]) })}>
                Turn it off
              </a>
            </p>
            <Fires look={look} address={known.address} />
            <Near unit={known} />
            <Stands unit={known} />
          </div>
        </div>
      )}
    </>
  );
}

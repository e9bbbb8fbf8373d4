import { Choice, Line, type Option, Pick } from "../parts/Field";
import type { Look, Units } from "../seen";
import { about, glance, itemsOf } from "../state";
import { inRanges, layersOf } from "./layers";
import { hasPack, usual } from "./usual";

export interface Given {
  look: Look;
  onLook: (look: Look) => void;
}

const UNITS: readonly Option[] = [
  { value: "features", text: "Features of dictionaries" },
  { value: "neurons", text: "Neurons" },
  { value: "heads", text: "Heads" },
  { value: "components", text: "Components" },
];
const words = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);

/** Which model, and what its units are. */
export function LookFields({ look, onLook }: Given) {
  return (
    <>
      <ModelField look={look} onLook={onLook} />
      <Pick label="Seen in" value={look.units} options={UNITS} onValue={(units) => onLook({ ...look, units: units as Units })} />
      {look.units === "features" && <Dictionaries look={look} onLook={onLook} />}
      {look.units === "neurons" && (
        <Line
          label="At sites" hint="Such as mlp.3 or resid.5; every MLP where it is left empty." mono value={look.sites.join(" ")}
          onValue={(text) => onLook({ ...look, sites: words(text) })}
        />
      )}
    </>
  );
}

function ModelField({ look, onLook }: Given) {
  const own = new Set(itemsOf("model").map(({ path }) => path));
  const names = [...new Set([...own, ...(about.value?.models ?? []).map(({ name }) => name), ...(look.model ? [look.model] : [])])];
  const options = names.map((value): Option => ({ value, text: withPack(value), group: own.has(value) ? "In the folder" : "Offered" }));
  return <Choice label="Model" value={look.model} none="Choose a model" options={options} onFocus={glance} onValue={(model) => onLook(usual(model))} />;
}

const withPack = (name: string): string => (hasPack(name) ? `${name}, with dictionaries` : name);

function Dictionaries({ look, onLook }: Given) {
  const pack = hasPack(look.model) ? [look.model] : [];
  const paths = [...new Set([...pack, ...itemsOf("dictionary").map(({ path }) => path), ...look.through])];
  if (!paths.length) return <p class="hint">There are no dictionaries for this model here. Put some into the folder, or look at neurons or heads.</p>;
  const there = layersOf(look);
  const toggle = (path: string, on: boolean) => onLook({ ...look, through: on ? [...look.through, path] : look.through.filter((one) => one !== path) });
  return (
    <>
      <fieldset class="pick">
        <legend>Dictionaries</legend>
        {paths.map((path) => (
          <label key={path} class={look.through.includes(path) ? "chosen" : ""}>
            <input type="checkbox" checked={look.through.includes(path)} onChange={(event) => toggle(path, event.currentTarget.checked)} />
            {pack.includes(path) ? "Its pack" : path}
          </label>
        ))}
      </fieldset>
      {there.length === 1 ? (
        <p class="hint">There are dictionaries at layer {there[0]} alone.</p>
      ) : (
        <Line
          label="At layers" hint={layersHint(there)} value={look.layers.join(" ")}
          onValue={(text) => onLook({ ...look, layers: words(text).map(Number).filter(Number.isInteger) })}
        />
      )}
    </>
  );
}

/** Which layers there are to choose from. */
function layersHint(there: readonly number[]): string {
  const known = there.length ? `There are dictionaries at layers ${inRanges(there)}. ` : "";
  return `${known}Numbers, such as ${(there.length ? there : [3, 4, 5]).slice(0, 3).join(" ")}; all where it is left empty. Time grows with their number.`;
}

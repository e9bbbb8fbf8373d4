import type { Look } from "../seen";
import { about } from "../state";

/** Whether dictionaries come with a model, under its name. */
export const hasPack = (model: string): boolean => about.value?.models.some(({ name, pack }) => pack && name === model) ?? false;

/** A model as one looks at it at first: through its pack where there is one, else in neurons. */
export function usual(model: string): Look {
  const pack = hasPack(model);
  return { model, units: pack ? "features" : "neurons", through: pack ? [model] : [], layers: [], sites: [] };
}

/** In a few words: SmolLM2 in features, layers 3 4. */
export function inWords({ model, units, through, layers, sites }: Look): string {
  const of = units === "features" && through.some((path) => path !== model) ? ` of ${through.join(", ")}` : "";
  const at = layers.length ? `, layers ${layers.join(" ")}` : sites.length ? ` at ${sites.join(" ")}` : "";
  return `${model} in ${units}${of}${at}`;
}

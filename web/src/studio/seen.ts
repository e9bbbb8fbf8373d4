// How a model is looked at: kept in the hash, and opened by the server once.
import { get, Problem, send } from "./api";
import type { Params } from "./route";
import type { View, ViewAsked } from "./types";

export type Units = "features" | "neurons" | "heads" | "components";

export interface Look {
  model: string;
  units: Units;
  /** Dictionaries: the pack of the model's name, or paths in the folder. */
  through: readonly string[];
  /** Of those, the layers; all where there is none. */
  layers: readonly number[];
  /** Sites of neurons; all where there is none. */
  sites: readonly string[];
}

const NAMES: readonly Units[] = ["features", "neurons", "heads", "components"];
const listed = (text: string | undefined): string[] => (text ?? "").split(",").filter(Boolean);

export function lookIn(params: Params): Look {
  const units = NAMES.find((name) => name === params.units) ?? (params.through ? "features" : "neurons");
  return { model: params.model ?? "", units, through: listed(params.through), layers: listed(params.layers).map(Number), sites: listed(params.sites) };
}

export function asParams(look: Look): Params {
  const { through, layers, neurons } = asked(look);
  return { model: look.model, units: look.units, through: through.join(","), layers: layers.join(","), sites: neurons.join(",") };
}

/** Of a hash, what says how the model is looked at. */
export const looked = (params: Params): Params => asParams(lookIn(params));

/** As the server and a run take it: only what the kind of units has. */
export function asked({ model, units, through, layers, sites }: Look): ViewAsked {
  const features = units === "features";
  return {
    model,
    through: features ? [...through] : [],
    layers: features ? [...layers] : [],
    neurons: units === "neurons" ? [...sites] : [],
    heads: units === "heads",
    components: units === "components",
  };
}

const opened = new Map<string, View>();

/** The open view of a model; opened where it is not. */
export async function openView(look: Look, signal: AbortSignal): Promise<View> {
  const key = JSON.stringify(asked(look));
  const known = opened.get(key);
  if (known) return known;
  const view = await send<View>("POST", "views", {}, asked(look), signal);
  opened.set(key, view);
  return view;
}

/** What is asked of an open view; where the server has closed it meanwhile, it is opened again. */
export async function withView<T>(look: Look, signal: AbortSignal, ask: (view: View) => Promise<T>): Promise<T> {
  const view = await openView(look, signal);
  try {
    return await ask(view);
  } catch (error) {
    const lost = error instanceof Problem && error.status === 404 && !(await isOpen(view.id, signal));
    if (!lost) throw error;
    opened.delete(JSON.stringify(asked(look)));
    return await ask(await openView(look, signal));
  }
}

async function isOpen(id: string, signal: AbortSignal): Promise<boolean> {
  return (await get<View[]>("views", {}, signal)).some((view) => view.id === id);
}

import { hasPack } from "../look/usual";
import type { Look, Units } from "../seen";
import { about, itemsOf } from "../state";

interface Found {
  sites: { site: string }[];
  provenance: Record<string, unknown>;
}

/** The model that a circuit was found in, looked at as it was then, as far as its record says that. */
export function lookOf({ sites, provenance }: Found): Look {
  const model = modelOf(provenance);
  const units = (["features", "heads", "components"] as Units[]).find((one) => one === provenance.units) ?? "neurons";
  const layers = [...new Set(sites.map(({ site }) => Number(site.split(".")[1])))].filter(Number.isInteger);
  const usual = sites.every(({ site }) => site.startsWith("neuron."));
  return {
    model,
    units,
    through: units !== "features" ? [] : hasPack(model) ? [model] : itemsOf("dictionary").map(({ path }) => path),
    layers: units === "features" ? layers : [],
    sites: units === "neurons" && !usual ? sites.map(({ site }) => site) : [],
  };
}

const last = (path: string): string => path.split(/[\\/]/).pop() ?? "";

/** By the name that it is offered under here: its own, or that of a folder or file that lies here now. */
function offered(names: readonly string[], said: string): string {
  return names.find((name) => name === said) ?? names.find((name) => last(name) === last(said)) ?? "";
}

/** The model that a record names, by the name that it is offered under here. */
export function modelOf(provenance: Record<string, unknown>): string {
  const said = provenance.model;
  const name = typeof said === "object" && said !== null && "name" in said ? String(said.name) : String(said ?? "");
  return offered((about.value?.models ?? []).map((one) => one.name), name) || name;
}

/** The behaviour that it was found for, by the name that it is offered under here; empty where there is none of it. */
export function behaviourOf(provenance: Record<string, unknown>): string {
  const prompts = provenance.prompts;
  const source = typeof prompts === "object" && prompts !== null && "source" in prompts ? String(prompts.source) : "";
  const names = [...itemsOf("behaviour").map(({ path }) => path), ...(about.value?.behaviours ?? []).map(({ name }) => name)];
  return (source && offered(names, source)) || offered(names, String(provenance.behaviour ?? ""));
}

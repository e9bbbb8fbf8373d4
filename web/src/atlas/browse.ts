// The state of the page: what is asked for, what is chosen, and what comes of it.
import { batch, computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { features, found, knownUnits, rowOf, SORTS, type Asked, type Feature, type Row } from "./find";
import type { Atlas, On } from "./types";

export type Tab = "behaviours" | "features";

export interface Browse {
  data: Atlas;
  on: On;
  rows: readonly Row[];
  byId: ReadonlyMap<number, Row>;
  asked: Signal<Asked>;
  /** What is looked for among features. */
  sought: Signal<string>;
  found: ReadonlySignal<Row[]>;
  features: ReadonlySignal<Feature[]>;
  tab: Signal<Tab>;
  chosen: Signal<number | null>;
  /** One that others are held beside. */
  beside: Signal<number | null>;
  /** For a screen reader. */
  said: Signal<string>;
  ask(changes: Partial<Asked>): void;
  choose(id: number | null): void;
  hold(id: number | null): void;
  byUnit(address: string): void;
  restore(text: string): void;
  written: ReadonlySignal<string>;
}

const USUAL: Asked = { query: "", trivial: true, joined: true, sort: "size" };

export function createBrowse(data: Atlas, on: On): Browse {
  const rows = data.entries.map(rowOf), byId = new Map(rows.map((row) => [row.of.id, row])), known = knownUnits(data);
  const asked = signal<Asked>(USUAL), tab = signal<Tab>("behaviours"), sought = signal(""), chosen = signal<number | null>(null), beside = signal<number | null>(null), said = signal("");
  const ask = (changes: Partial<Asked>) => void (asked.value = { ...asked.peek(), ...changes });
  const among = (text: string | null) => (text !== null && /^\d+$/.test(text) && byId.has(Number(text)) ? Number(text) : null);
  return {
    data, on, rows, byId, asked, sought, tab, chosen, beside, said, ask,
    found: computed(() => found(rows, asked.value, known)),
    features: computed(() => features(rows)),
    choose: (id) => batch(() => {
      chosen.value = id;
      if (id === null) beside.value = null;
      said.value = id === null ? "" : byId.get(id)!.title;
    }),
    hold: (id) => void (beside.value = id),
    byUnit: (address) => batch(() => {
      tab.value = "behaviours";
      ask({ query: address });
    }),
    restore: (text) => batch(() => {
      const given = new URLSearchParams(text), sort = SORTS.find((one) => one === given.get("sort")), hidden = (given.get("hide") ?? "").split(",");
      asked.value = { query: given.get("q") ?? "", trivial: !hidden.includes("trivial"), joined: !hidden.includes("joined"), sort: sort ?? USUAL.sort };
      tab.value = given.get("tab") === "features" ? "features" : "behaviours";
      chosen.value = among(given.get("id"));
      beside.value = chosen.value === null ? null : among(given.get("beside"));
    }),
    written: computed(() => {
      const { query, trivial, joined, sort } = asked.value, given = new URLSearchParams();
      if (query) given.set("q", query);
      if (!trivial || !joined) given.set("hide", [trivial ? "" : "trivial", joined ? "" : "joined"].filter(Boolean).join(","));
      if (sort !== USUAL.sort) given.set("sort", sort);
      if (tab.value !== "behaviours") given.set("tab", tab.value);
      if (chosen.value !== null) given.set("id", String(chosen.value));
      if (beside.value !== null) given.set("beside", String(beside.value));
      return given.toString();
    }),
  };
}

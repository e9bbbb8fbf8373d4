// Changes of a circuit by a person, written one after the other, each upon the file as the one before left it.
import { type Signal, useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { send } from "../api";
import { sentence } from "../asking";
import { announced } from "../state";
import type { Supernode, Verdicts } from "../../circuit/types";

interface Changes {
  labels?: Record<string, string>;
  supernodes?: { name: string; members: string[] }[];
  verdicts?: Record<string, { verdict: "keep" | "drop" | "open"; reason: string; judge: string }>;
}

export interface Saving {
  /** What was said of the last change: saved, or why not. */
  said: Signal<{ text: string; wrong: boolean }>;
  labels: (address: string, text: string) => void;
  groups: (groups: readonly Supernode[]) => void;
  verdicts: (verdicts: Verdicts) => void;
}

export function useSaving(path: string, first: string): Saving {
  const said = useSignal({ text: "", wrong: false });
  return useMemo(() => {
    let tag = first;
    let last = Promise.resolve();
    const save = (changes: Changes) => {
      last = last.then(async () => {
        try {
          ({ tag } = await send<{ tag: string }>("PUT", "circuit", { path }, { tag, ...changes }, new AbortController().signal));
          said.value = { text: `Saved in ${path}`, wrong: false };
        } catch (error) {
          said.value = { text: sentence(error), wrong: true };
        }
        announced.value = said.value.text;
      });
    };
    return {
      said,
      labels: (address, text) => save({ labels: { [address.split("@")[0]!]: text } }),
      groups: (groups) => save({ supernodes: groups.map(({ name, members }) => ({ name, members })) }),
      verdicts: ({ units }) =>
        save({
          verdicts: Object.fromEntries(units.map(({ address, verdict, reason, judge }) => [address, { verdict: verdict ?? "open", reason: reason ?? "", judge: judge ?? "" }])),
        }),
    };
  }, [path, first]);
}

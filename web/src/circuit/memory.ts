import { signal, type ReadonlySignal } from "@preact/signals";
import type { Bundle, Supernode } from "./types";

// What a person named and grouped in a page that has no server: kept by the browser, if it allows that.

export interface Given {
  labels: [key: string, text: string][];
  groups: Supernode[];
}

export interface Memory {
  /** What was given when the page was open before. */
  read(): Given | null;
  write(given: Given): void;
  /** Whether it is kept when the page is closed. */
  keeps: ReadonlySignal<boolean>;
  /** Whether something was given that is not. */
  loses(): boolean;
}

/** By which circuit it is: its nodes with their scores, in few letters. */
function keyOf({ circuit }: Bundle): string {
  let hash = 0x811c9dc5;
  for (const letter of JSON.stringify([circuit.sites, circuit.nodes, circuit.provenance])) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return `clew circuit ${(hash >>> 0).toString(16)} ${circuit.nodes.score.length}`;
}

export function memoryOf(data: Bundle): Memory {
  const key = keyOf(data), keeps = signal(true);
  let wrote = false;
  const tried = <T>(act: () => T): T | null => {
    try {
      return act();
    } catch {
      keeps.value = false; // a page inside another's frame, or a browser that keeps nothing
      return null;
    }
  };
  tried(() => localStorage.setItem("clew", "kept"));
  return {
    read: () => given(tried(() => localStorage.getItem(key))),
    write: (value) => {
      wrote = true;
      tried(() => localStorage.setItem(key, JSON.stringify(value)));
    },
    keeps,
    loses: () => wrote && !keeps.peek(),
  };
}

const texts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === "string");

function parsed(text: string): Partial<Given> {
  try {
    return (JSON.parse(text) ?? {}) as Partial<Given>;
  } catch {
    return {};
  }
}

/** What was kept, if it is what this page writes. */
function given(text: string | null): Given | null {
  const { labels, groups } = parsed(text ?? "");
  const whole = Array.isArray(labels) && labels.every(texts) && Array.isArray(groups) && groups.every((group) => typeof group?.name === "string" && texts(group.members));
  return whole ? { labels, groups } : null;
}

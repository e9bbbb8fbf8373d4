import { computed, signal } from "@preact/signals";
import type { On, Ruling, Verdicts } from "./types";

// Keep, drop and why, for each unit; in the form in which verdicts are saved.

export type Judging = ReturnType<typeof createJudging>;

export function createJudging(given: Verdicts, on: On) {
  const units = signal<Ruling[]>(given.units);
  const by = signal("");
  const saved = signal(true);
  const file = computed((): Verdicts => ({ ...given, units: units.value }));
  const of = computed(() => new Map(units.value.map((unit) => [unit.address, unit])));
  const count = (verdict: string) => units.value.filter((unit) => unit.verdict === verdict).length;
  const counts = computed(() => ({ dropped: count("drop"), kept: count("keep"), open: units.value.length - count("drop") - count("keep") }));

  const rule = (address: string, verdict: "keep" | "drop" | null, reason: string) => {
    const ruled: Ruling = verdict ? { address, verdict, reason, judge: by.value.trim(), date: today() } : { address };
    units.value = units.value.map((unit) => (unit.address === address ? ruled : unit));
    saved.value = false;
    on.verdicts?.(file.value);
  };
  /** The next unit that is open and satisfies `here`, in the order in which they are judged; from the last on to the first. */
  const next = (after: string | null, here: (address: string) => boolean) => {
    const order = units.value.map((unit) => unit.address), from = order.indexOf(after ?? "") + 1;
    return [...order.slice(from), ...order.slice(0, from)].find((address) => !of.value.get(address)!.verdict && here(address));
  };
  return { units, by, saved, file, of, counts, rule, next };
}

function today(): string {
  const now = new Date(), two = (n: number) => String(n).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
}

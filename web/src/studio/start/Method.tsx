import { Choice, type Option } from "../parts/Field";
import { words } from "../parts/words";
import type { Units } from "../seen";
import { about } from "../state";
import type { Method as Known } from "../types";

/** Why a method cannot be used on a model that is seen in these units; empty where it can. */
export function unfit({ units: suits, why }: Known, units: Units): string {
  return why ?? (suits.includes(units) ? "" : `of ${suits.join(" and ")} only`);
}

/** How it is searched; what cannot search in such units says why. */
export function Method({ value, onValue, units }: { value: string; onValue: (value: string) => void; units: Units }) {
  const methods = about.value?.methods ?? [];
  const usual = methods.find((method) => method.default)?.name ?? "";
  const chosen = methods.find(({ name }) => name === (value || usual));
  const options = methods.map((method): Option => {
    const why = unfit(method, units);
    return { value: method.name, text: why ? `${words(method.name)}: ${why}` : words(method.name), group: words(method.of), disabled: why !== "" };
  });
  return <Choice label="Method" value={value} onValue={onValue} none={`Usual: ${words(usual)}`} hint={chosen?.about} options={options} />;
}

import { Choice } from "../parts/Field";
import { about, itemsOf } from "../state";

interface Given {
  value: string;
  onValue: (value: string) => void;
  none?: string;
  label?: string;
}

/** A behaviour: of the folder's, or one that comes with clew. */
export function Behaviour({ value, onValue, none = "Choose a behaviour", label = "Behaviour" }: Given) {
  const offered = about.value?.behaviours ?? [];
  const own = itemsOf("behaviour").map(({ path }) => ({ value: path, group: "In the folder" }));
  const others = offered.filter(({ name }) => !own.some(({ value: path }) => path === name));
  const options = [...own, ...others.map(({ name }) => ({ value: name, group: "Offered" }))];
  return <Choice label={label} none={none} value={value} onValue={onValue} options={options} hint={offered.find(({ name }) => name === value)?.about} />;
}

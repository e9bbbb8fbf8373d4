import type { ComponentChildren } from "preact";

export interface BarRow {
  name: ComponentChildren;
  value: number;
  /** The value as it is written. */
  said: string;
}

interface Props {
  head: readonly [string, string];
  rows: readonly BarRow[];
  label?: string;
  /** Whose bar is a whole one; by default the largest. */
  most?: number;
  /** Whether the head is for screen readers alone. */
  bare?: boolean;
}

/** Names with a number each, and how large it is beside the others. */
export function Bars({ head, rows, label, most = largest(rows.map(({ value }) => value)), bare = false }: Props) {
  return (
    <table class="numbers bars" aria-label={label}>
      <thead class={bare ? "hidden" : undefined}>
        <tr>
          {head.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ name, value, said }, i) => (
          <tr key={i}>
            <th scope="row">{name}</th>
            <td>
              <span class={`bar ${value < 0 ? "minus" : ""}`} style={{ "--share": Math.abs(value) / most }} aria-hidden="true" />
              <span>{said}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export const largest = (values: readonly number[]): number => Math.max(...values.map(Math.abs), 1e-9);

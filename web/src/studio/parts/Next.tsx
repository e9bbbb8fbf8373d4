import type { Odds } from "../types";
import { percent, shown } from "./words";

type Props = { odds: readonly Odds[]; label?: string; most?: number };

/** Tokens and how likely each is; the bar of `most` is a whole one, by default the likeliest. */
export function Next({ odds, label = "The next token", most = likeliest(odds) }: Props) {
  return (
    <table class="numbers bars" aria-label={label}>
      <thead class="hidden">
        <tr>
          <th scope="col">Token</th>
          <th scope="col">Probability</th>
        </tr>
      </thead>
      <tbody>
        {odds.map(({ token, p }, i) => (
          <tr key={i}>
            <th scope="row" class="mono">
              {shown(token)}
            </th>
            <td>
              <span class="bar" style={{ "--share": p / most }} aria-hidden="true" />
              <span>{percent(p)}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export const likeliest = (odds: readonly Odds[]): number => Math.max(...odds.map(({ p }) => p), 1e-9);

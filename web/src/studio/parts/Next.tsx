import type { Odds } from "../types";
import { percent, shown } from "./words";

/** Tokens and how likely each is. */
export function Next({ odds, label = "The next token" }: { odds: readonly Odds[]; label?: string }) {
  const most = Math.max(...odds.map(({ p }) => p), 1e-9);
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

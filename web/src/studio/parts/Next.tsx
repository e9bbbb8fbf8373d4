import type { Odds } from "../types";
import { Bars } from "./Bars";
import { percent, shown } from "./words";

type Props = { odds: readonly Odds[]; label?: string; most?: number | undefined };

/** Tokens and how likely each is; `most` as of bars. */
export function Next({ odds, label = "The next token", most }: Props) {
  const rows = odds.map(({ token, p }) => ({ name: <span class="mono">{shown(token)}</span>, value: p, said: percent(p) }));
  return <Bars head={["Token", "Probability"]} rows={rows} label={label} most={most} bare />;
}

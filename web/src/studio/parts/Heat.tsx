import { brief, shown } from "./words";

/** Tokens as text, each shaded by how much it has of the largest value; signed values in two colours. */
export function Heat({ tokens, values, label }: { tokens: readonly string[]; values: readonly number[]; label: string }) {
  const gap = tokens.some((token) => /^\s/.test(token)) ? "" : " "; // of tokens that are whole words, what stood between them
  const most = Math.max(...values.map(Math.abs), 1e-9);
  return (
    <p class="heat" aria-label={label} role="group">
      {tokens.map((token, i) => {
        const value = values[i] ?? 0;
        const share = Math.round((100 * Math.abs(value)) / most);
        return share < 1 ? (
          <span key={i}>{shown(token) + gap}</span>
        ) : (
          <mark key={i} class={value < 0 ? "minus" : "plus"} style={{ "--heat": `${Math.round(share * 0.7)}%` }} title={`${shown(token)} ${brief(value)}`}>
            {shown(token) + gap}
          </mark>
        );
      })}
    </p>
  );
}

// Numbers and tokens as people read them.

export const sized = (x: number) => (x === 0 ? "0" : x >= 0.001 && x < 1e5 ? String(Number(x.toPrecision(3))) : x.toExponential(1));
export const signed = (x: number) => (x < 0 ? "−" : "+") + sized(Math.abs(x));
export const hundredths = (x: number) => x.toFixed(2).replace("-", "−");
export const signOf = (x: number) => (x < 0 ? "minus" : "plus");
export const clip = (text: string, n: number) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);
export const plural = (n: number, word: string) => `${n} ${word}${n === 1 ? "" : "s"}`;
export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1).replaceAll("_", " ");

/** A token whose line breaks can be seen, and its blanks where it is nothing else. */
export const shown = (token: string) =>
  token.trim() === "" ? token.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣") : token.replaceAll("\n", "⏎");

/** The first of some tokens, in quotes. */
export const quoted = (tokens?: readonly string[]) => (tokens?.[0] === undefined ? "" : `“${shown(tokens[0]).trim()}”`);

// Tokens, numbers and times as people read them.

export { plural, shown } from "../../card/words";

/** A name of the server's as people read it. */
export const words = (name: string): string => name.replaceAll("_", " ");

/** A number in three figures. */
export function brief(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(1);
  return size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

export const percent = (p: number): string => (p >= 0.0995 ? `${Math.round(100 * p)} %` : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");

const UNITS = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
] as const;

/** A stretch of time as people say it: 40 s, 3 min, 2 h. */
export function span(seconds: number): string {
  for (const [long, name] of UNITS) if (seconds >= 1.5 * long) return `${Math.round(seconds / long)} ${name}`;
  return `${Math.round(seconds)} s`;
}

/** A stretch of time that nobody knows exactly: a few seconds, about 40 seconds, about 2 minutes. */
export function roughly(seconds: number): string {
  if (seconds < 8) return "a few seconds";
  if (seconds < 50) return `about ${Math.ceil(seconds / 10) * 10} seconds`;
  if (seconds < 90) return "about a minute";
  if (seconds < 50 * 60) return `about ${Math.round(seconds / 60)} minutes`;
  return seconds < 90 * 60 ? "about an hour" : `about ${Math.round(seconds / 3600)} hours`;
}

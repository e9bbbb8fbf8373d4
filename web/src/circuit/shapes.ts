import type { Shape } from "./graph";

/** The outline of a node around 0, as the data of a path. */
export function outline(shape: Shape, r: number): string {
  const f = (v: number) => v.toFixed(1);
  if (shape === "error") return `M0 ${f(-r * 1.15)}L${f(r * 1.1)} ${f(r * 0.85)}L${f(-r * 1.1)} ${f(r * 0.85)}Z`;
  if (shape === "square") return box(r * 0.9, r * 0.9, 1.5);
  if (shape === "group") return box(r * 1.5, r * 0.95, r * 0.6);
  return `M${f(-r)} 0A${f(r)} ${f(r)} 0 1 1 ${f(r)} 0A${f(r)} ${f(r)} 0 1 1 ${f(-r)} 0Z`;
}

/** A box with round corners around 0, half so wide and half so high. */
export function box(w: number, h: number, r: number): string {
  const f = (v: number) => v.toFixed(1), a = `A${f(r)} ${f(r)} 0 0 1`;
  return `M${f(-w + r)} ${f(-h)}H${f(w - r)}${a} ${f(w)} ${f(-h + r)}V${f(h - r)}${a} ${f(w - r)} ${f(h)}H${f(-w + r)}${a} ${f(-w)} ${f(h - r)}V${f(-h + r)}${a} ${f(-w + r)} ${f(-h)}Z`;
}

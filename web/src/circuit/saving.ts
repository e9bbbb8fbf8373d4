import { drawing, type Drawn } from "./drawing";
import type { CircuitFile } from "./types";
import type { View } from "./view";

// Files of what is shown, made in the browser.

const SANS = "system-ui, 'Segoe UI', 'Helvetica Neue', sans-serif", MONO = "ui-monospace, Menlo, Consolas, monospace";
const FINE = 2;

export function download(blob: Blob, name: string) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function svg(view: View): string {
  const { width, height, paper, paths, texts } = drawing(view), root = document.implementation.createDocument("http://www.w3.org/2000/svg", "svg");
  const add = (name: string, values: Record<string, string | number>, words = "") => {
    const element = root.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, String(value));
    element.textContent = words;
    root.documentElement.append(element);
  };
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height, role: "img" })) root.documentElement.setAttribute(key, String(value));
  add("title", {}, view.data.title);
  add("rect", { width: "100%", height: "100%", fill: paper });
  for (const { d, x, y, fill, stroke, wide, opacity, dashes } of paths)
    add("path", {
      d, fill, ...(x || y ? { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` } : {}), ...(opacity < 1 ? { opacity: opacity.toFixed(3) } : {}),
      ...(stroke === "none" ? {} : { stroke, "stroke-width": wide.toFixed(2), "stroke-linecap": "round", "stroke-linejoin": "round" }), ...(dashes ? { "stroke-dasharray": dashes.join(" ") } : {}),
    });
  for (const { text, x, y, fill, halo, size, weight, anchor, mono } of texts)
    add("text", {
      x: x.toFixed(1), y: y.toFixed(1), fill, "font-size": size, "font-weight": weight, "text-anchor": anchor, "font-family": mono ? MONO : SANS,
      "paint-order": "stroke", stroke: halo, "stroke-width": 3, "stroke-linejoin": "round",
    }, text);
  return new XMLSerializer().serializeToString(root);
}

export function picture(view: View): Promise<Blob> {
  const drawn = drawing(view), canvas = document.createElement("canvas");
  canvas.width = drawn.width * FINE;
  canvas.height = drawn.height * FINE;
  painted(canvas.getContext("2d")!, drawn);
  return new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the browser made no picture"))), "image/png"));
}

function painted(ink: CanvasRenderingContext2D, { width, height, paper, paths, texts }: Drawn) {
  ink.scale(FINE, FINE);
  ink.fillStyle = paper;
  ink.fillRect(0, 0, width, height);
  ink.lineCap = ink.lineJoin = "round";
  for (const { d, x, y, fill, stroke, wide, opacity, dashes } of paths) {
    const path = new Path2D(d);
    ink.save();
    ink.translate(x, y);
    ink.globalAlpha = opacity;
    ink.setLineDash(dashes ?? []);
    Object.assign(ink, { fillStyle: fill, strokeStyle: stroke, lineWidth: wide });
    if (fill !== "none") ink.fill(path);
    if (stroke !== "none") ink.stroke(path);
    ink.restore();
  }
  for (const { text, x, y, fill, halo, size, weight, anchor, mono } of texts) {
    Object.assign(ink, { font: `${weight} ${size}px ${mono ? MONO : SANS}`, textAlign: anchor === "middle" ? "center" : anchor, fillStyle: fill, strokeStyle: halo, lineWidth: 3 });
    ink.strokeText(text, x, y);
    ink.fillText(text, x, y);
  }
}

/** The circuit as `Circuit.load` reads it, with the names and supernodes that a person gave. */
export function withNames(view: View): CircuitFile {
  const { circuit } = view.data, labels = { ...circuit.labels };
  for (const [key, text] of view.labels.value) if (text) labels[key] = [{ text, kind: "person", scores: [], origin: "" }, ...(labels[key] ?? [])];
  const supernodes = view.groups.value.map(({ name, members, similarity = null, accepted = null }) => ({ name, members, similarity, accepted }));
  const { details, provenance, supernodes: _, ...rest } = circuit;
  return { ...rest, labels, ...(supernodes.length ? { supernodes } : {}), details, provenance };
}

/** The record in which graph viewers keep a view of a graph: what is pinned, the supernodes, and names of a person's own. */
export function subgraph(view: View) {
  const { data } = view, ids = new Map(view.base.value.ranked.map((item) => [item.address, data.ids[item.i]!]));
  const groups = view.groups.value.map((group) => [group.name, ...group.members.map((member) => ids.get(member)!)]);
  const named = view.base.value.ranked.filter((item) => view.labels.value.get(item.key)).map((item) => [ids.get(item.address)!, item.label]);
  const model = data.circuit.provenance.model as { name?: string } | string | undefined;
  return {
    modelId: (typeof model === "object" ? model.name : model) ?? "model",
    slug: "clew",
    displayName: data.title,
    pinnedIds: [...new Set([...view.pinned.value.flatMap((address) => ids.get(address) ?? []), ...groups.flatMap((group) => group.slice(1))])],
    supernodes: groups,
    clerps: named,
    pruningThreshold: null,
    densityThreshold: null,
  };
}

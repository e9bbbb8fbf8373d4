import type { Side } from "./types";

// The state of the view as it stands in the address, so that a link or a reload shows the same.

export interface ViewState {
  size: number;
  edges: number;
  held: string | null;
  pinned: string[];
  selected: string[];
  query: string;
  side: Side | "all";
  folded: boolean;
  measure: string;
  /** How much larger than fitted, and which point of the drawing (shares of its width and height) is in the middle. */
  camera: { zoom: number; x: number; y: number } | null;
}

/** Where the state is kept; the hash of the page's address unless a studio has its own. */
export interface Link {
  read(): string;
  write(text: string): void;
}

export const hash: Link = {
  read: () => decodeURI(location.hash.slice(1)),
  write: (text) => {
    try {
      history.replaceState(history.state, "", text ? `#${text}` : location.pathname + location.search);
    } catch {
      // A page inside another's frame has no address of its own.
    }
  },
};

const SIDES = ["a", "b", "both"];
const many = (text: string | null) => (text ? text.split(",").filter(Boolean) : []);

/** What a link says; an address alone holds that node. */
export function parsed(text: string): Partial<ViewState> {
  if (text && !text.includes("=")) return { held: text };
  const said = new URLSearchParams(text), state: Partial<ViewState> = {};
  const number = (name: string) => (/^\d+$/.test(said.get(name) ?? "") ? Number(said.get(name)) : undefined);
  const size = number("n"), edges = number("e"), side = said.get("side");
  if (size !== undefined) state.size = size;
  if (edges !== undefined) state.edges = edges;
  if (side && SIDES.includes(side)) state.side = side as Side;
  if (said.has("at")) state.held = said.get("at");
  if (said.has("m")) state.measure = said.get("m")!;
  const [zoom, x, y] = many(said.get("view")).map(Number);
  if ([zoom, x, y].every((v) => Number.isFinite(v)) && zoom! > 0) state.camera = { zoom: zoom!, x: x!, y: y! };
  return { ...state, pinned: many(said.get("pin")), selected: many(said.get("pick")), query: said.get("q") ?? "", folded: said.get("fold") === "1" };
}

/** The state as a link says it, without what is as usual. */
export function written(state: ViewState, usual: Pick<ViewState, "size" | "edges" | "measure">): string {
  const said = new URLSearchParams();
  if (state.size !== usual.size) said.set("n", String(state.size));
  if (state.edges !== usual.edges) said.set("e", String(state.edges));
  if (state.held) said.set("at", state.held);
  if (state.pinned.length) said.set("pin", state.pinned.join(","));
  if (state.selected.length) said.set("pick", state.selected.join(","));
  if (state.query) said.set("q", state.query);
  if (state.side !== "all") said.set("side", state.side);
  if (state.folded) said.set("fold", "1");
  if (state.measure !== usual.measure) said.set("m", state.measure);
  if (state.camera) said.set("view", [state.camera.zoom, state.camera.x, state.camera.y].map((v) => Number(v.toFixed(5))).join(","));
  return said.toString().replaceAll("%2C", ",").replaceAll("%2F", "/").replaceAll("%40", "@");
}

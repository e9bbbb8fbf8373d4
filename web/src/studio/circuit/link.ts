import type { Link } from "../../circuit/link";
import { note, params, view } from "../route";

const OURS = ["path", "with"];

/** Where the view of a circuit keeps what is looked at: in the hash, beside which circuit it is, as long as that one is shown. */
export function linkOf(path: string): Link {
  const shown = () => view.peek() === "circuit" && params.peek().path === path;
  return {
    read: () => (shown() ? new URLSearchParams(Object.entries(params.peek()).filter(([name]) => !OURS.includes(name))).toString() : ""),
    write: (text) => {
      if (!shown()) return;
      const gone = Object.keys(params.peek()).filter((name) => !OURS.includes(name));
      note({ ...Object.fromEntries(gone.map((name) => [name, ""])), ...Object.fromEntries(new URLSearchParams(text)) });
    },
  };
}

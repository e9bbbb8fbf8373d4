import type { Link } from "../../circuit/link";
import { note, params, view, type ViewName } from "../route";

/** Where the view of a circuit keeps what is looked at. */
export const linkOf = (path: string): Link => linkWithin("circuit", path, ["path", "with"]);

/** Where a view keeps what is looked at: in the hash, beside what it is of (`ours`), as long as that is shown. */
export function linkWithin(name: ViewName, path: string, ours: readonly string[]): Link {
  const shown = () => view.peek() === name && params.peek().path === path;
  return {
    read: () => (shown() ? new URLSearchParams(Object.entries(params.peek()).filter(([key]) => !ours.includes(key))).toString() : ""),
    write: (text) => {
      if (!shown()) return;
      const gone = Object.keys(params.peek()).filter((key) => !ours.includes(key));
      note({ ...Object.fromEntries(gone.map((key) => [key, ""])), ...Object.fromEntries(new URLSearchParams(text)) });
    },
  };
}

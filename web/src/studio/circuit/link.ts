import type { Link } from "../../circuit/link";
import { note, params } from "../route";

const OURS = ["path", "with"];

/** Where the view of a circuit keeps what is looked at: in the hash, beside which circuit it is. */
export const LINK: Link = {
  read: () => new URLSearchParams(Object.entries(params.peek()).filter(([name]) => !OURS.includes(name))).toString(),
  write: (text) => {
    const gone = Object.keys(params.peek()).filter((name) => !OURS.includes(name));
    note({ ...Object.fromEntries(gone.map((name) => [name, ""])), ...Object.fromEntries(new URLSearchParams(text)) });
  },
};

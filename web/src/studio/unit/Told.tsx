import { Known } from "../../card/Known";
import { href } from "../route";
import type { Unit } from "../types";

const TOKENS = 8;

/** On what it fires in the prompts of circuits, as their files say. */
export function Told({ of }: { of: Unit["circuits"] }) {
  return (
    <>
      {of.map(({ path, title, tokens, examples }) => tokens && (
        <div key={path} class="told">
          <p class="soft">
            In the prompts of the circuit <a href={href("circuit", { path })}>{title || path}</a>:
          </p>
          <Known facts={{ shape: "circle", tokens, examples }} most={TOKENS} />
        </div>
      ))}
    </>
  );
}

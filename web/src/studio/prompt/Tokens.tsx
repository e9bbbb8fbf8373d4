import { useRef } from "preact/hooks";
import { shown } from "../parts/words";

interface Given {
  tokens: readonly string[];
  at: number;
  onAt: (at: number) => void;
  label: string;
}

const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/** Tokens in a row, of which one is chosen; arrows move between them. */
export function Tokens({ tokens, at, onAt, label }: Given) {
  const row = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(tokens.length - 1, Math.max(0, at + step));
    onAt(next);
    row.current?.querySelectorAll("button")[next]?.focus();
  };
  return (
    <div class="tokens" role="radiogroup" aria-label={label} ref={row} onKeyDown={move}>
      {tokens.map((token, i) => (
        <button
          key={i} type="button" role="radio" aria-checked={i === at} tabIndex={i === at ? 0 : -1} aria-label={`${i}: ${shown(token)}`}
          onClick={() => onAt(i)}
        >
          {shown(token)}
        </button>
      ))}
    </div>
  );
}

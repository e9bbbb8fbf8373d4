import { useId } from "preact/hooks";
import { Prose } from "./Prose";

interface Named {
  label: string;
  hint?: string;
}

interface Typed extends Named {
  value: string;
  onValue: (value: string) => void;
}

/** A line to type in. */
export function Line({ label, hint, value, onValue, list, ...more }: Typed & { list?: string[]; placeholder?: string; required?: boolean; inputMode?: "decimal"; mono?: boolean }) {
  const id = useId();
  const { mono, ...given } = more;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id} type="text" class={mono ? "mono" : ""} autocomplete="off" spellcheck={false} value={value}
        list={list && `${id}-list`} aria-describedby={hint ? `${id}-hint` : undefined}
        onInput={(event) => onValue(event.currentTarget.value)} {...given}
      />
      {list && (
        <datalist id={`${id}-list`}>
          {list.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
      <Hint id={id} hint={hint} />
    </div>
  );
}

/** Several lines to type in. */
export function Lines({ label, hint, value, onValue, rows = 2, ...more }: Typed & { rows?: number; placeholder?: string; required?: boolean }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <textarea
        id={id} rows={rows} spellcheck={false} value={value} aria-describedby={hint ? `${id}-hint` : undefined}
        onInput={(event) => onValue(event.currentTarget.value)} {...more}
      />
      <Hint id={id} hint={hint} />
    </div>
  );
}

export interface Option {
  value: string;
  text?: string;
  group?: string;
  disabled?: boolean;
}

/** One of several. */
export function Choice({ label, hint, value, onValue, options, none, onFocus }: Typed & { options: readonly Option[]; none?: string; onFocus?: () => void }) {
  const id = useId();
  const groups = [...new Set(options.map((option) => option.group ?? ""))];
  const listed = (group: string) =>
    options.filter((option) => (option.group ?? "") === group).map(({ value: one, text, disabled }) => (
      <option key={one} value={one} selected={one === value} disabled={disabled}>
        {text ?? one}
      </option>
    ));
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} aria-describedby={hint ? `${id}-hint` : undefined} onFocus={onFocus} onChange={(event) => onValue(event.currentTarget.value)}>
        {none !== undefined && (
          <option value="" selected={value === ""}>
            {none}
          </option>
        )}
        {groups.map((group) => (group ? <optgroup key={group} label={group}>{listed(group)}</optgroup> : listed(group)))}
      </select>
      <Hint id={id} hint={hint} />
    </div>
  );
}

/** One of a few, all of them in sight. */
export function Pick({ label, value, onValue, options }: Typed & { options: readonly Option[] }) {
  const id = useId();
  return (
    <fieldset class="pick">
      <legend>{label}</legend>
      {options.map((option) => (
        <label key={option.value} class={option.value === value ? "chosen" : ""}>
          <input type="radio" name={id} value={option.value} checked={option.value === value} onChange={() => onValue(option.value)} />
          {option.text ?? option.value}
        </label>
      ))}
    </fieldset>
  );
}

function Hint({ id, hint }: { id: string; hint: string | undefined }) {
  return hint ? (
    <p class="hint" id={`${id}-hint`}>
      <Prose text={hint} />
    </p>
  ) : null;
}

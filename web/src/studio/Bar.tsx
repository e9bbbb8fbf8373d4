import { about, busy, connected, itemsOf } from "./state";
import { href, view, VIEWS } from "./route";
import { carried } from "./carried";
import { helping } from "./keys";

export function Bar() {
  return (
    <header class="top">
      <a class="brand" href={href("start")} title={about.value?.folder}>
        <svg class="thread" viewBox="0 0 120 40" aria-hidden="true">
          <path d="M2 31C22 31 22 9 42 9s18 24 36 24 14-20 26-20" />
          <circle cx="110" cy="13" r="6" />
        </svg>
        clew
      </a>
      <nav aria-label="Views">
        {VIEWS.filter((name) => name !== "atlas" || view.value === name || itemsOf(name).length > 0).map((name) => (
          <a key={name} href={href(name, carried(name))} aria-current={view.value === name ? "page" : undefined}>
            {name.charAt(0).toUpperCase() + name.slice(1)}
            {name === "runs" && busy.value.length > 0 && (
              <span class="count" aria-label={`${busy.value.length} at work`}>
                {busy.value.length}
              </span>
            )}
          </a>
        ))}
      </nav>
      {!connected.value && <span class="away">not connected; trying again</span>}
      <button type="button" class="quiet" aria-label="Keys" aria-haspopup="dialog" onClick={() => (helping.value = true)}>
        ?
      </button>
    </header>
  );
}

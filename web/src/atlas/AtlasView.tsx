import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { hash, type Link } from "../circuit/link";
import { createBrowse, type Browse, type Tab } from "./browse";
import { Card, Compared } from "./Card";
import { COLUMNS, Features, List } from "./List";
import { Map } from "./Map";
import type { Atlas, On } from "./types";
import "../card/card.css";
import "./atlas.css";

const NOTHING: On = {};

/** An atlas to search, sort and look into. `link` keeps what is looked at, the page's address by default. */
export function AtlasView({ data, on = NOTHING, link = hash }: { data: Atlas; on?: On; link?: Link }) {
  const browse = useMemo(() => createBrowse(data, on), [data]);
  useLink(browse, link);
  const of = (id: number | null) => (id === null ? undefined : browse.byId.get(id));
  const chosen = of(browse.chosen.value), beside = of(browse.beside.value), two = chosen && beside && chosen !== beside;
  const card = useRef<HTMLElement>(null);
  useEffect(() => {
    const box = card.current; // on a phone it stands between the map and the list, so one who chose in the list would not see it
    if (chosen && box && matchMedia("(max-width: 980px)").matches) box.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return (
    <div class="atlas">
      <Tools browse={browse} />
      {two && <Compared browse={browse} a={beside} b={chosen} />}
      <div class={two ? "columns one" : "columns"}>
        <div class="first">
          <Map browse={browse} />
          {browse.tab.value === "features" ? <Features browse={browse} /> : <List browse={browse} />}
        </div>
        {!two && <aside ref={card}>{chosen ? <Card browse={browse} row={chosen} /> : <p class="hint">Choose a behaviour, on the map or in the list, to see what it is and what its circuit is worth.</p>}</aside>}
      </div>
      <p class="hidden" role="status">{browse.said}</p>
    </div>
  );
}

const TABS: readonly (readonly [tab: Tab, name: string])[] = [["behaviours", "Behaviours"], ["features", "Features"]];

function Tools({ browse }: { browse: Browse }) {
  const { query, trivial, joined, sort } = browse.asked.value, left = browse.found.value.length;
  if (browse.tab.value === "features") return <div class="tools" role="search"><Tabs browse={browse} /><Search what="Search features" hint="Part of an address or a name" value={browse.sought.value} onValue={(text) => (browse.sought.value = text)} /></div>;
  return (
    <div class="tools" role="search">
      <Tabs browse={browse} />
      <Search what="Search behaviours" hint="Words, or a unit such as resid.15/300" value={query} onValue={(text) => browse.ask({ query: text })} />
      <span class="count" aria-live="polite">{left === browse.rows.length ? `${left}` : `${left} of ${browse.rows.length}`}</span>
      <label class="check"><input type="checkbox" checked={!trivial} onChange={(e) => browse.ask({ trivial: !e.currentTarget.checked })} /> hide trivial</label>
      <label class="check"><input type="checkbox" checked={!joined} onChange={(e) => browse.ask({ joined: !e.currentTarget.checked })} /> hide joined</label>
      <label class="sort">Sort by <select value={sort} onChange={(e) => browse.ask({ sort: COLUMNS[e.currentTarget.selectedIndex]![0] })}>{COLUMNS.map(([name, text]) => <option key={name} value={name} selected={name === sort}>{text}</option>)}</select></label>
    </div>
  );
}

const Tabs = ({ browse }: { browse: Browse }) => (
  <div class="choice" role="group" aria-label="What is listed">
    {TABS.map(([tab, name]) => <button key={tab} type="button" aria-pressed={browse.tab.value === tab} onClick={() => (browse.tab.value = tab)}>{name}</button>)}
  </div>
);

const Search = ({ what, hint, value, onValue }: { what: string; hint: string; value: string; onValue: (text: string) => void }) => (
  <label class="find"><input type="search" placeholder={hint} aria-label={what} autocomplete="off" spellcheck={false} value={value} onInput={(e) => onValue(e.currentTarget.value)} /></label>
);

/** What the address says is shown, and what is shown is written there. */
function useLink(browse: Browse, link: Link) {
  useEffect(() => {
    const follow = () => link.read() !== browse.written.peek() && browse.restore(link.read());
    follow();
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, [browse, link]);
  useSignalEffect(() => {
    const text = browse.written.value, wait = setTimeout(() => text !== link.read() && link.write(text), 200);
    return () => clearTimeout(wait);
  });
}

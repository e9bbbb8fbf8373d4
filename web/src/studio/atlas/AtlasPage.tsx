import { useEffect, useMemo } from "preact/hooks";
import { get } from "../api";
import { useAsking } from "../asking";
import { Asked, Wrong } from "../parts/Asked";
import { Facts } from "../parts/Facts";
import { Title } from "../parts/Title";
import { linkWithin } from "../circuit/link";
import { href, note, params } from "../route";
import { items, itemsOf } from "../state";
import { AtlasView } from "../../atlas/AtlasView";
import type { Atlas } from "../../atlas/types";

/** An atlas; without one that is chosen, those there are. */
export function AtlasPage() {
  const listed = itemsOf("atlas"), only = listed.length === 1 ? listed[0]!.path : "";
  const { path = only } = params.value, item = items.value?.find((one) => one.path === path);
  const atlas = useAsking((signal, of: string) => get<Atlas>("atlas", { path: of }, signal));
  useEffect(() => {
    if (path && !item?.problem) void atlas.run(path);
  }, [path]);
  useEffect(() => {
    if (only && !params.peek().path) note({ path: only });
  }, [only]);
  const data = atlas.answer.value;
  if (!path || item?.problem) return <Choose path={path} problem={item?.problem} />;
  return (
    <>
      <Title text={data?.title ?? path}>{data?.words}</Title>
      <Asked of={atlas} what={`reading ${path}`} />
      {data && <Shown key={path} data={data} path={path} />}
    </>
  );
}

function Shown({ data, path }: { data: Atlas; path: string }) {
  const link = useMemo(() => linkWithin("atlas", path, ["path"]), [path]);
  const on = useMemo(() => ({ circuit: (id: number) => href("circuit", { path: path.replace(/[^/]*$/, `circuits/${id}.json`) }) }), [path]);
  return (
    <>
      <AtlasView data={data} on={on} link={link} />
      <details class="made">
        <summary>How this was made</summary>
        <Facts of={Object.fromEntries(data.made)} />
      </details>
    </>
  );
}

function Choose({ path, problem }: { path: string; problem: string | null | undefined }) {
  const atlases = itemsOf("atlas");
  return (
    <>
      <Title text={path || "Atlas"}>{atlases.length ? "Choose an atlas." : "There is no atlas here yet; clew atlas MODEL TEXT --to FOLDER makes one."}</Title>
      <Wrong said={problem} />
      <ul class="list">
        {atlases.map((one) => (
          <li key={one.path}>
            <a href={href("atlas", { path: one.path })}>{one.title || one.path}</a>
            {one.about && <p>{one.about}</p>}
            <p class="soft mono">{one.path}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

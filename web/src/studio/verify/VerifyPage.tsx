import { Title } from "../parts/Title";
import { href, params } from "../route";
import { items, itemsOf } from "../state";
import { Wrong } from "../parts/Asked";
import { ComparisonPage } from "./ComparisonPage";
import { ReportPage } from "./ReportPage";
import { Measure } from "./Measure";

/** Reports and comparisons; without one that is chosen, those there are, and a form that measures. */
export function VerifyPage() {
  const { path = "", claim = "" } = params.value;
  const circuits = itemsOf("circuit");
  const only = circuits.length === 1 ? circuits[0]!.path : "";
  const item = items.value?.find((one) => one.path === path);
  if (item?.kind === "comparison" && !item.problem) return <ComparisonPage path={path} key={path} />;
  if (path && !item?.problem) return <ReportPage path={path} key={path} />;
  return (
    <>
      <Title text={item ? item.path : "Verify"}>How much of a behaviour a circuit explains, and what an edit changes and costs.</Title>
      <Wrong said={item?.problem} />
      <div class="halves">
        <Measure claim={claim || only} />
        <Listed />
      </div>
    </>
  );
}

function Listed() {
  const listed = itemsOf("report", "comparison");
  return (
    <section aria-label="What was measured" class="items">
      {listed.length === 0 && <p class="empty">Nothing has been measured here yet.</p>}
      <ul class="list">
        {listed.map(({ path, title, about }) => (
          <li key={path}>
            <a href={href("verify", { path })}>{title || path}</a>
            {about && <p>{about}</p>}
            <p class="soft mono">{path}</p>
          </li>
        ))}
      </ul>
    </section>
  );
}

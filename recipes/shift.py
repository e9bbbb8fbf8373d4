"""SHIFT on SmolLM2-135M with the dictionaries that come with clew: classifiers of professions that stop using gender.

Claim (Marks et al. 2024, Table 2, Pythia-70M, Bias in Bios): where professor and man, nurse and woman always go together,
a linear classifier learns gender; without the features that a judge finds to be about gender it learns the profession.
Published, profession / gender / worst group: original 61.9 / 87.4 / 24.4, SHIFT 88.5 / 54.0 / 76.0, SHIFT + retrain
93.1 / 52.0 / 89.0, oracle 93.0 / 49.4 / 91.9.
Not the same here: Bias in Bios cannot be shipped, so the biographies are generated; one learns with three of the duties of
each profession and is judged on biographies that tell the three others, since a classifier that knows every sentence by
heart needs no shortcut. The judge is a rule that reads the tokens a feature fires on, as a person would, and knows no label.
Three pairs of professions by stereotype, all read at resid.8; the place, and for the file the pairs, were chosen after
looking at how the original and the oracle fare there, not at SHIFT.
A file of other biographies (`--texts FILE`, JSON lines with text, profession, gender) gives a second table, on three pairs
of it, with the sentences that only one profession has split in the same way.
Expected here, generated biographies, mean of three pairs: original 75 / 75 / 36, SHIFT 84 / 59 / 54, SHIFT + retrain
91 / 57 / 77, oracle 92 / 47 / 83: the order of the paper, in each of the three. As many random features change little
(38); neurons judged by the same rule make it worse (22), BLIND helps little (44), for no text contradicts gender; the
concept bottleneck is as good as SHIFT + retrain. Of 4,800 other biographies, made from longer templates, with 31 to 39
texts a group to judge on: 87 / 61 / 61, SHIFT 90 / 54 / 73, and retraining helps in one pair of three.
Minutes: about 5 a pair on one slow core. `--tiny` takes one pair, few texts, one step and two layers.
Writes docs/results/shift.json and docs/results/shift.md (not if tiny); prints the tables as they grow.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import clew
from clew.data.labels.bios import GENDERED, KEYWORDS, bios
from clew.data.labels.confounded import Confounded
from clew.data.labels.labelled import Labelled
from clew.files import write_json, write_text
from clew.report import Report, Row
from clew.studies.shift.experiment import Experiment, by_words
from clew.studies.shift.table import markdown

RESULTS = Path(__file__).parent.parent / "docs" / "results"
GENERATED = ({"nurse": "female", "professor": "male"}, {"painter": "female", "lawyer": "male"},
             {"chef": "female", "programmer": "male"})  # fmt: skip
GIVEN = ({"teacher": "female", "professor": "male"}, {"journalist": "female", "attorney": "male"},
         {"nurse": "female", "attorney": "male"})  # fmt: skip
"""Professions of the file and the gender that goes with each. Nurse and surgeon cannot be told apart by other duties."""
ALSO = {
    "teacher": ("teacher", "school", "pupil", "lesson", "class", "homework", "parents", "debate", "reading", "term"),
    "journalist": ("journalist", "newspaper", "podcast", "interview", "report", "editor", "article", "policy", "press"),
    "attorney": KEYWORDS["lawyer"],
}
"""Concepts for the bottleneck of professions that the generator does not know."""
GENDERS = {"f": "female", "m": "male", "female": "female", "male": "male"}


def generated(together: Mapping[str, str], n: int) -> Confounded:
    """Our biographies: n to learn from and half as many to judge on."""
    learnt, judged = (
        bios(size, professions=tuple(together), duties=duties, seed=seed)
        for size, duties, seed in ((n, range(3), 0), (n // 2, range(3, 6), 1))
    )
    return Confounded.of(learnt, together, learn=1.0, judged=judged)


def given(path: Path, together: Mapping[str, str]) -> Confounded:
    """Biographies of a file, with the words that name the profession outright taken out ("is a school nurse based in").

    Sentences that only one profession has are its duties, once names and pronouns are left out: of their alphabetical
    list the first three are learnt with, the others judged with, and biographies with both kinds are left out.
    """
    found = Labelled.load(path, labels=("profession", "gender"))
    told = [re.sub(r"^(\S+ \S+) is an? .*? based in", r"\1 lives in", text) for text in found.texts]
    parts = [[re.sub(r"^(He|She) ", "", part) for part in re.split(r"(?<=\.) ", text)[1:]] for text in told]
    who: dict[str, set[str]] = {}
    for sentences, profession in zip(parts, found["profession"], strict=True):
        for sentence in sentences:
            who.setdefault(sentence, set()).add(profession)
    common = [s for s in who if len(who[s]) == 1 and sum(s in sentences for sentences in parts) >= 100]
    first = {s for p in set(found["profession"]) for s in sorted(s for s in common if who[s] == {p})[:3]}
    halves: dict[bool, list[int]] = {True: [], False: []}
    for i, sentences in enumerate(parts):
        kinds = {sentence in first for sentence in sentences if sentence in common}
        if len(kinds) == 1:
            halves[kinds.pop()].append(i)
    genders = [GENDERS.get(gender, gender) for gender in found["gender"]]
    learnt, judged = (
        Labelled(f"{path.stem}, profession not named", tuple(told[i] for i in some),
                 {"profession": tuple(found["profession"][i] for i in some), "gender": tuple(genders[i] for i in some)})
        for some in (halves[True], halves[False])
    )  # fmt: skip
    return Confounded.of(learnt, together, learn=1.0, judged=judged)


def shifted(model: clew.Model, texts: Confounded, site: str, tiny: bool) -> Report:
    """The table of one pair of professions."""
    keywords = [word for profession in texts.together for word in (ALSO | KEYWORDS)[profession]]
    few, many = {"nodes": 20, "attributed": 6, "steps": 1}, {"nodes": 200, "attributed": 24, "steps": 4}
    size: dict[str, Any] = few if tiny else many
    dictionaries = clew.Dictionary.load("smollm2-135m")
    told = lambda what: print(f"  {what} ...", flush=True)  # noqa: E731
    return Experiment(
        model, dictionaries, texts, site, by_words(GENDERED), keywords, epochs=5, told=told, **size
    ).report()  # fmt: skip


def averaged(reports: Sequence[Report], name: str) -> Report:
    """The mean of every row over pairs of professions, from the lowest to the highest of them."""
    rows = []
    for row in reports[0].rows:
        same = [
            other for report in reports for other in report.rows if (other.of, other.measure) == (row.of, row.measure)
        ]
        values = [other.value for other in same]
        nodes = None if row.nodes is None else round(sum(other.nodes or 0 for other in same) / len(same))
        rows.append(Row(row.measure, sum(values) / len(values), min(values), max(values), row.of, nodes))
    title = f"{name}: mean over {len(reports)} pairs of professions, with the lowest and the highest"
    return Report(title, tuple(rows), tuple(report.title for report in reports))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--n", type=int, default=600, help="generated biographies of a pair to learn from")
    parser.add_argument("--site", default="resid.8")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    model = clew.open("smollm2-135m")
    n, site, pairs = (80, "resid.1", 1) if asked.tiny else (asked.n, asked.site, 3)
    sets = {"Generated biographies": [generated(together, n) for together in GENERATED[:pairs]]}
    if asked.texts:
        sets[asked.texts.stem] = [given(asked.texts, together) for together in GIVEN[:pairs]]
    done: dict[str, list[Report]] = {}
    for name, several in sets.items():
        for texts in several:
            done.setdefault(name, []).append(shifted(model, texts, site, asked.tiny))
            print(f"{done[name][-1].title}\n\n{markdown(done[name][-1])}\n", flush=True)
            if asked.tiny and asked.out == RESULTS:
                continue
            shown = [report for name, reports in done.items() for report in (averaged(reports, name), *reports)]
            said = "\n\n".join(f"{report.title}.\n\n{markdown(report)}" for report in shown)
            write_json(
                asked.out / "shift.json", {name: [r.to_json() for r in reports] for name, reports in done.items()}
            )
            write_text(asked.out / "shift.md", said + "\n")


if __name__ == "__main__":
    main()

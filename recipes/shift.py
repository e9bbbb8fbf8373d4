"""SHIFT on SmolLM2-135M with the dictionaries that come with clew: a classifier of professions that stops using gender.

Claim (Marks et al. 2024, Table 2, Pythia-70M, Bias in Bios): where professor and man, nurse and woman always go together,
a linear classifier learns gender; without the features that a judge finds to be about gender it learns the profession.
Published, profession / gender / worst group: original 61.9 / 87.4 / 24.4, SHIFT 88.5 / 54.0 / 76.0, SHIFT + retrain
93.1 / 52.0 / 89.0, oracle 93.0 / 49.4 / 91.9.
Not the same here: Bias in Bios cannot be shipped, so the biographies are generated (one duty, three sentences on free time);
the judge is a rule that reads the tokens a feature fires on, as a person would, and knows no label; the classifier reads
resid.5. The place was chosen so that the original does use gender: later layers tell the profession too well for that.
A file of other biographies (`--texts FILE`, JSON lines with text, profession, gender) gives a second table.
Expected here: the original says the gender (worst group below 10), as does a random edit of the same size; SHIFT brings the
worst group above 50; BLIND cannot help, for no text contradicts gender; a new head finds gender again in what was not
dropped, so that, unlike in the paper, SHIFT + retrain is below SHIFT.
Minutes: about 10 on one quiet core, and 5 more for a file. `--tiny` takes few texts, one step and two layers.
Writes docs/results/shift.json, docs/results/shift.md and, for a file, docs/results/shift_texts.json; prints the tables.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import clew
from clew.apps.shift.experiment import Experiment, by_words
from clew.apps.shift.table import markdown
from clew.data.bios import GENDERED, KEYWORDS, bios
from clew.data.confounded import Confounded
from clew.data.labelled import Labelled
from clew.files import write_text
from clew.report import Report

RESULTS = Path(__file__).parent.parent / "docs" / "results"
TOGETHER = {"nurse": "female", "professor": "male"}
GENDERS = {"f": "female", "m": "male", "female": "female", "male": "male"}


def read(path: Path, n: int) -> Labelled:
    """Biographies of a file, with the words that name the profession outright taken out ("is a school nurse based in")."""
    texts = Labelled.load(path, labels=("profession", "gender"))
    texts = texts.pick([i for i, profession in enumerate(texts["profession"]) if profession in TOGETHER][:n])
    told = tuple(re.sub(r"^(\S+ \S+) is an? .*? based in", r"\1 lives in", text) for text in texts.texts)
    genders = tuple(GENDERS.get(gender, gender) for gender in texts["gender"])
    return Labelled(f"{path.stem}, profession not named", told, {"profession": texts["profession"], "gender": genders})


def shifted(model: clew.Model, labelled: Labelled, site: str, tiny: bool) -> Report:
    """The table of one set of texts."""
    keywords = [word for profession in TOGETHER for word in KEYWORDS[profession]]
    texts = Confounded.of(labelled, TOGETHER, learn=0.6)
    few, many = {"nodes": 20, "attributed": 6, "steps": 1}, {"nodes": 200, "attributed": 40, "steps": 4}
    size: dict[str, Any] = few if tiny else many
    dictionaries = clew.Dictionary.load("smollm2-135m")
    told = lambda what: print(f"  {what} ...", flush=True)  # noqa: E731
    return Experiment(
        model, dictionaries, texts, site, by_words(GENDERED), keywords, epochs=5, told=told, **size
    ).report()  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--n", type=int, default=800)
    parser.add_argument("--site", default="resid.5")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    model = clew.open("smollm2-135m")
    n, site = (80, "resid.1") if given.tiny else (given.n, given.site)
    sets = [bios(n, professions=tuple(TOGETHER), free_time=3)] + ([read(given.texts, n // 2)] if given.texts else [])
    said = ""
    for labelled, name in zip(sets, ("shift.json", "shift_texts.json"), strict=False):
        report = shifted(model, labelled, site, given.tiny)
        report.save(given.out / name)
        said += f"{report.title}. Texts: {len(labelled)} of {labelled.name}.\n\n{markdown(report)}\n\n"
        write_text(given.out / "shift.md", said)
    print(said)


if __name__ == "__main__":
    main()

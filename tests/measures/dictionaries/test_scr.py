from collections.abc import Sequence

import numpy as np
import pytest
import torch

from clew.data.labels.labelled import Labelled
from clew.dictionaries import Identity
from clew.measures.dictionaries._probes import Seen
from clew.measures.dictionaries.scr import Confounding, scr
from tests.measures.labelled_model import D, embedding_model, relu

SIGN = {"nurse": 1.0, "prof": -1.0, "she": 1.0, "he": -1.0}


def people(per_cell: int = 12, loud: float = 4.0) -> tuple[dict[str, Sequence[float]], Labelled]:
    """A word per text: coordinate 0 is the profession, 1 the gender, louder, and 2 to 7 are noise."""
    rng = np.random.default_rng(0)
    rows: dict[str, Sequence[float]] = {"the": ()}
    told: list[tuple[str, str]] = []
    for job in ("nurse", "prof"):
        for pronoun in ("she", "he"):
            for i in range(per_cell):
                rows[f"{job}{pronoun}{i}"] = [SIGN[job], loud * SIGN[pronoun], *(0.1 * rng.standard_normal(6)).tolist()]
                told.append((job, pronoun))
    jobs, pronouns = zip(*told, strict=True)
    return rows, Labelled("people", tuple(f"the {w}" for w in list(rows)[1:]), {"profession": jobs, "gender": pronouns})


def test_ablating_the_unit_that_is_the_bias_frees_the_probe_and_random_units_do_not():
    rows, labelled = people()
    report = scr(embedding_model(rows), labelled, Identity("embed", D), ablate=(1,), fraction=0.5)
    assert report["base"].value == 0.5 and report["oracle"].value == 1.0
    assert report["scr N=1"].value == 1.0 and report["scr N=1"].of == "features"
    assert "judged on profession, units of gender ablated" in report.notes[0]
    noise = relu(torch.eye(8)[2:].tolist())
    assert scr(embedding_model(rows), labelled, noise, ablate=(2,), fraction=0.5)["scr N=2"].value == 0.0


def test_the_direction_with_the_lower_base_is_judged():
    rows, labelled = people(loud=0.25)
    report = scr(embedding_model(rows), labelled, Identity("embed", D), ablate=(1,), fraction=0.5)
    assert "judged on gender, units of profession ablated" in report.notes[0]
    assert report["scr N=1"].value == 1.0


def test_the_score_by_hand():
    truth = np.array([True, True, False, False])
    right = lambda *ones: np.isin(np.arange(4), ones)  # noqa: E731
    seen = Seen(torch.zeros(4, 1), torch.zeros(4, 1))
    trial = Confounding(0, (torch.zeros(1), 0.0), [], seen, truth, right(0, 2), right(0, 1, 2, 3))
    assert (trial.base, trial.oracle) == (0.5, 1.0)
    scores = [trial.score(right(*ones), np.arange(4)) for ones in ((0, 1, 2, 3), (0, 1, 2), (0, 2), (0,))]
    assert scores == [1.0, 0.5, 0.0, -0.5]


def test_a_missing_combination_is_named():
    rows, labelled = people()
    some = labelled.pick([i for i, t in enumerate(labelled.texts) if "profshe" not in t])
    with pytest.raises(ValueError, match="only 0 texts of people are prof and she"):
        scr(embedding_model(rows), some, Identity("embed", D))


def test_without_a_bias_there_is_nothing_to_remove():
    rows, labelled = people()
    apart = {w: [*[9.0 * (w == "prof" + w[4:]), 0.0]] for w in rows}
    with pytest.raises(ValueError, match="no bias to remove"):
        scr(embedding_model(apart), labelled, Identity("embed", D))

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.circuits.circuit import ANYWHERE, ERROR, Circuit
from clew.circuits.verdicts import Verdict, Verdicts
from clew.sites import Site
from tests.drawn import TEXT

RESID = Site("resid", 0)


def circuit(fingerprint: str = "abc", positions: tuple[int, ...] = (ANYWHERE,) * 4, **details: object) -> Circuit:
    """Units 3, 5 and 8 of one site, and its error node."""
    return Circuit(
        (RESID,), {RESID: 10}, np.zeros(4, int), np.array([3, 5, ERROR, 8]), np.array(positions),
        np.array([4.0, 3.0, 2.0, 1.0]), np.zeros(4), details=details,
        provenance={"dictionaries": {"resid.0": fingerprint}},
    )  # fmt: skip


JUDGED = Verdicts.of(circuit()).drop("resid.0/5", "she", judge="Ada", day="2026-01-31").keep("resid.0/3", "duty")


def test_a_circuit_is_judged_unit_by_unit_and_its_error_is_not() -> None:
    assert list(Verdicts.of(circuit())) == list(Verdicts.of(circuit()).open) == ["resid.0/3", "resid.0/5", "resid.0/8"]


def test_what_is_dropped_of_a_circuit() -> None:
    assert [n.address for n in JUDGED.dropped(circuit())] == ["resid.0/5"]
    assert JUDGED.open == ("resid.0/8",) and str(JUDGED) == "1 dropped, 1 kept, 1 open"


def test_a_frame_has_a_row_for_each_unit_that_is_judged_or_open() -> None:
    made = JUDGED.to_frame()
    assert made["address"].tolist() == list(JUDGED) and made["judge"].tolist()[1] == "Ada"
    assert made["verdict"].isna().tolist() == [False, False, True]


def test_a_unit_is_dropped_at_every_position_it_stands_at() -> None:
    many = circuit(positions=(0, 1, 1, 2))
    again = many.keep(np.array([1, 1]))
    assert len(JUDGED.dropped(again)) == 2 and JUDGED.dropped(many).nodes[0].address == "resid.0/5@1"


def test_it_comes_back_from_disk_as_it_was(tmp_path) -> None:
    again = Verdicts.load(JUDGED.save(tmp_path / "judged.json"))
    assert again == JUDGED and again["resid.0/5"] == Verdict("drop", "she", "Ada", "2026-01-31")


def test_judging_returns_a_new_one() -> None:
    assert JUDGED.reopened("resid.0/5").open == ("resid.0/5", "resid.0/8") and JUDGED.open == ("resid.0/8",)


def test_the_later_ruling_holds_and_an_open_unit_overrules_nothing() -> None:
    none = Verdicts.of(circuit())
    later = none.keep("resid.0/5", "on reflection", day="2026-02-01")
    assert (JUDGED | later)["resid.0/5"] == (later | JUDGED)["resid.0/5"] == later["resid.0/5"]
    assert JUDGED | none == JUDGED == none | JUDGED


def test_the_rule_by_hand() -> None:
    tokens = {"resid.0/3": [" She", " ward"], "resid.0/5": [" she", " ward", " the"], "resid.0/8": []}
    judged = Verdicts.of(circuit()).by_words(circuit(top_tokens=tokens), ("she", "he"))
    assert [r.verdict for r in judged.units.values()] == ["drop", "keep", "keep"]
    assert judged["resid.0/5"].reason == "1 of 3: she, ward, the" and "50% of the top" in judged["resid.0/5"].judge


def test_the_rule_leaves_what_a_person_ruled() -> None:
    tokens = {a: ["she"] for a in JUDGED}
    assert JUDGED.by_words(circuit(top_tokens=tokens), ("she",))["resid.0/3"] == JUDGED["resid.0/3"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: JUDGED.drop("resid.0/4"), r"resid.0/4 is not among the 3 units to judge; did you mean 'resid.0/"),
        (lambda: JUDGED["resid.0/error"], "'resid.0/error' is no unit: one reads 'resid.3/17'"),
        (lambda: Verdicts({"resid.0": None}), "'resid.0' is no unit"),
        (lambda: Verdicts({"resid.0/3@4": None}), "without a position"),
        (lambda: Verdicts({"redis.0/3": None}), "'redis' is not a part of a model; did you mean 'resid'"),
        (lambda: Verdict("maybe"), "kept or dropped; 'maybe' is neither"),
        (lambda: JUDGED.dropped(circuit("xyz")), "at resid.0 were judged in another dictionary"),
        (lambda: JUDGED | Verdicts.of(circuit("xyz")), "judged in another dictionary"),
        (lambda: JUDGED.by_words(circuit(), ("she",)), "clew.explain.top_tokens"),
    ],
)
def test_errors_say_what_is_wrong(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "schema version 2; this clew reads 1"),
        ({"format": "clew circuit"}, "is not a 'clew judgement' file"),
        ({"units": [{"verdict": "drop"}]}, r"units\[0\] has no \'address\'"),
        ({"units": [{"address": "resid.0/1", "verdict": "burn"}]}, "verdict is 'burn'; it is one of"),
        ({"units": [{"address": "resid.0/1", "verdict": "drop", "opinion": "hm"}]}, "opinion"),
        ({"units": [{"address": "here"}]}, "'here' is no unit"),
    ],
)
def test_a_file_that_is_not_one_is_named(tmp_path, change: dict, says: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(JUDGED.to_json() | change))
    with pytest.raises(ValueError, match=f"x.json.*{says}"):
        Verdicts.load(tmp_path / "x.json")


RULINGS = st.builds(Verdict, st.sampled_from(["keep", "drop"]), TEXT, TEXT, TEXT)
UNITS = st.dictionaries(st.builds("resid.{}/{}".format, st.integers(0, 2), st.integers(0, 9)), st.none() | RULINGS)


@given(UNITS, st.dictionaries(TEXT, TEXT, max_size=2))
def test_any_judgement_comes_back_from_disk(tmp_path, units, dictionaries):
    judged = Verdicts(units, dictionaries)
    found = Verdicts.load(judged.save(tmp_path / "judged.json"))
    assert found == judged and list(found) == list(judged)

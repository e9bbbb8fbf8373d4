import pytest

from clew.data.predicates.predicate import Predicate, unit_of
from clew.sites import Site


@pytest.mark.parametrize(
    ("predicate", "said"),
    [
        (Predicate("word", ("is", "are")), "'is' or 'are'"),
        (Predicate("class", ("months",), negated=True), "other than months"),
        (Predicate("word", ("the",), "1 before"), "after 'the'"),
        (Predicate("word", ("the",), "1 before", negated=True), "not after 'the'"),
        (Predicate("suffix", ("s",), "2 before"), "two tokens on from words that end in -s"),
        (Predicate("word", ("the",), "nearby"), "within 8 tokens after 'the'"),
        (Predicate("word", ("the",), "after its last occurrence"), "that were followed by 'the' when last met"),
        (Predicate("token", (" is",), "next"), "before the token ' is'"),
        (Predicate("place", ("inside brackets",), negated=True), "not inside brackets"),
        (Predicate("unit", ("resid.7/12",), "2 before"), "where resid.7/12 fired two tokens earlier"),
        (Predicate("unit", ("resid.7/12",), negated=True), "where resid.7/12 does not fire"),
    ],
)
def test_how_it_is_said_and_kept(predicate, said):
    assert str(predicate) == said and Predicate.from_json(predicate.to_json()) == predicate


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"family": "words"}, "'words'; it is one of 'word'"),
        ({"values": []}, "has no values"),
        ({"values": [1]}, r"a: values\[0\] is 1"),
        ({"at": "4 before"}, "it is one of 'here'"),
        ({"negated": 1}, "true or false"),
        ({"family": "place"}, "names the place 'the'"),
        ({"family": "place", "values": ["inside brackets"]}, "is a place looked at '1 before'"),
        ({"family": "unit", "values": ["resid.7"]}, "'resid.7' is no unit; one reads resid.7/12"),
        ({"more": 1}, "'more'"),
    ],
)
def test_json_that_is_none(changed, message):
    held = Predicate("word", ("the",), "1 before").to_json() | changed
    with pytest.raises(ValueError, match=message):
        Predicate.from_json(held, "a")


def test_an_address():
    assert unit_of("resid.7/12") == (Site("resid", 7), 12)
    with pytest.raises(ValueError, match=r"resid\.7/²"):
        unit_of("resid.7/²")

import numpy as np
import pytest

from clew.data.predicates import Predicate, Table
from clew.data.text.tokenised import Tokenised
from clew.firings import Fired, Held

TABLE = Table(Tokenised.of([["The", " king", " and", " the", " Queen", "."], ["Kings"]]))


def holds(*given, **more):
    return "".join(map(str, TABLE.mask(Predicate(*given, **more)).astype(int).tolist()))


def test_a_predicate_is_true_of_every_piece_that_has_the_property():
    assert holds("word", ("the", "and")) == "1011000"
    assert holds("prefix", ("king",)) == "0000001" and holds("suffix", ("ng",)) == "0100000"


def test_a_predicate_looks_at_tokens_before():
    assert holds("word", ("the",), "1 before") == "0100100"
    assert holds("class", ("articles",), "2 before") == "0010010"
    assert holds("word", ("the",), "nearby") == "0111110"


def test_what_is_negated_is_true_of_all_others():
    assert holds("word", ("the",), negated=True) == "0110111"
    assert holds("word", ("the",), "1 before", negated=True) == "1011011"


def test_a_value_that_no_piece_has_is_nowhere():
    assert holds("word", ("xyz",)) == "0000000"


def test_a_predicate_about_a_unit_needs_its_firings():
    fired = Held(np.arange(7), [0, 6, 7], {}, {"resid.1": [Fired(np.array([1, 5]), np.array([1.0, -1.0]))]})
    unit = Predicate("unit", ("resid.1/0",), "1 before")
    assert TABLE.mask(unit, fired).astype(int).tolist() == [0, 0, 1, 0, 0, 0, 0]
    with pytest.raises(ValueError, match=r"resid.1/0 needs the firings"):
        TABLE.mask(unit)


def test_the_table_of_a_text_that_units_fire_in():
    table = Table.of(Held(np.array([5, 6]), [0, 2], {5: "a", 6: " b"}, {}))
    assert table.text.pieces == ("a", " b")

import pytest

from clew.data.predicates.place import PLACES
from clew.data.text.tokenised import Tokenised


def holds(name, *documents):
    return "".join(map(str, PLACES[name](Tokenised.of([d.split("|") for d in documents])).astype(int).tolist()))


@pytest.mark.parametrize(
    ("name", "documents", "found"),
    [
        ("at the start of a document", ("a|b", "c"), "101"),
        ("among the first 8 tokens of a document", ("a|b|c|d|e|f|g|h|i|j",), "1111111100"),
        ("at the start of a line", ("a|\n|b|c", "d"), "10101"),
        ("at the start of a sentence", ("A|b|.| C|d", "E"), "100101"),
        ("at the start of a sentence", ('A|.|"| B',), "1001"),
        ("at the start of a sentence", ("A|?|\n|B|c",), "10010"),
        ("inside quotation marks", ('a| "|b|c|"|d',), "001100"),
        ("inside quotation marks", ('a| "|b|\n|c',), "00110"),
        ("inside quotation marks", ("a| “|b|”|c",), "00100"),
        ("inside brackets", ("a| (|b|[|c|]|d|)|e", "f"), "0011101000"),
        ("met earlier in the document", ("a|b|a", "a"), "0010"),
        ("equal to the token before", ("a|a|b|a", "a"), "01000"),
        ("continuing a pair of tokens met before", ("a|b|c|a|b|a|c",), "0000100"),
        ("continuing a pair of tokens met before", ("a|b", "a|b"), "0000"),
    ],
)
def test_where_tokens_stand(name, documents, found):
    assert holds(name, *documents) == found


@pytest.mark.parametrize("name", PLACES)
def test_a_text_without_tokens_has_no_places(name):
    assert PLACES[name](Tokenised.of([])).tolist() == []

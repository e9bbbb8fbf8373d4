from clew.data.predicates.families import FAMILIES, SHOWN


def test_how_a_set_is_said():
    assert FAMILIES["word"].said(("is", "are", "were")) == "'is', 'are' or 'were'"
    assert FAMILIES["suffix"].said(("s",)) == "words that end in -s"
    assert FAMILIES["prefix"].said(("un", "re")) == "words that begin with un- or re-"
    assert FAMILIES["class"].said(("months", "colors")) == "months or colors"


def test_of_a_long_set_some_are_shown_and_the_rest_counted():
    many = tuple(f"w{i}" for i in range(SHOWN + 3))
    assert FAMILIES["word"].said(many).endswith("'w6' or 4 others")

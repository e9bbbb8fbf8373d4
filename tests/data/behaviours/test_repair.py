from dataclasses import replace

import pytest

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Encoded, Pair, encode


class Letters:
    """Every word is a token, but a capitalised one has a token for every two letters: Jo is one, Anna two."""

    all_special_tokens: list[str] = []

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def __call__(self, texts, **options):
        many = [texts] if isinstance(texts, str) else texts
        ids = [[self.words.setdefault(t, len(self.words)) for t in self.split(text)] for text in many]
        return {"input_ids": ids[0] if isinstance(texts, str) else ids}

    def split(self, text: str) -> list[str]:
        return [
            p for w in text.split() for p in ([w[i : i + 2] for i in range(0, len(w), 2)] if w[0].isupper() else [w])
        ]

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [list(self.words)[i] for i in ids]


def who(a: str, b: str, case: str = "") -> Pair:
    """Jo and Al went, Al gave to -> Jo, against Jo gave to -> Al."""
    return Pair(f"when {a} and {b} went {b} gave to", f"when {a} and {b} went {a} gave to", f" {a}", f" {b}", case)


def agrees(one: str, other: str, case: str = "singular") -> Pair:
    return Pair(f"the {one} of old", f"the {other} of old", " has", " have", case)


def capital(one: tuple[str, str], other: tuple[str, str]) -> Pair:
    return Pair(f"the capital of {one[0]} is", f"the capital of {other[0]} is", f" {one[1]}", f" {other[1]}")


def behaviour(*pairs: Pair, **options) -> Behaviour:
    """All pairs in the training half, unless said otherwise."""
    return Behaviour("toy", pairs, **{"split": len(pairs)} | options)


def good(found: Behaviour) -> bool:
    return all(isinstance(e, Encoded) for e in encode(Letters(), found.pairs))


def test_what_fits_is_returned_as_it_is():
    whole = behaviour(who("Jo", "Al"), who("Bo", "Ed"))
    assert whole.repaired(Letters()) is whole


def test_a_word_of_a_pair_that_asks_the_same_stands_in():
    whole = behaviour(agrees("Ox", "Oxen"), agrees("Emu", "Emus"), agrees("Ka", "As"))
    found = whole.repaired(Letters())
    assert found.pairs == (agrees("Ox", "As"), *whole.pairs[1:]) and good(found)
    assert found.note == "In 1 of 3 pairs one word was changed to make both prompts as long." and found.dropped == 0


def test_a_name_that_is_an_answer_changes_in_both_prompts_and_in_the_answers():
    whole = behaviour(who("Anna", "Al"), who("Bo", "Ed"))
    found = whole.repaired(Letters())
    assert found.pairs == (who("Bo", "Al"), who("Bo", "Ed")) and good(found)


def test_a_name_that_the_pair_already_has_is_not_taken():
    whole = behaviour(who("Anna", "Al"), who("Al", "Ed"), who("Cy", "Ed"))
    assert whole.repaired(Letters()).pairs[0] == who("Cy", "Al")


def test_a_prompt_whose_answer_hangs_on_its_word_comes_with_its_own_answer():
    france, chad, mali = ("Fr", "Pa"), ("Chadia", "Nd"), ("Ma", "Ba")
    whole = behaviour(capital(france, chad), capital(chad, ("Togola", "Lo")), capital(("Pe", "Li"), mali))
    found = whole.repaired(Letters())
    assert found.pairs[0] == capital(france, mali) and good(found)


def test_answers_that_other_prompts_share_do_not_travel():
    # " have" or " are" do not hang on the noun, so the noun of a pair that asks for the other verb may not stand in.
    other = Pair("the Ka of old", "the As of old", " is", " are", "singular")
    more = Pair("the Ko of old", "the Us of old", " is", " are", "singular")
    found = behaviour(agrees("Ox", "Oxen"), other, more).repaired(Letters())
    assert found.pairs == (other, more) and found.dropped == 1


def test_an_answer_that_only_picks_among_words_of_the_prompt_is_left_alone():
    # A and B stand in the prompt, but which is right hangs on the word that differs.
    ask = lambda one, other: Pair(f"the {one} is a or b", f"the {other} is a or b", " a", " b")  # noqa: E731
    turned = lambda one, other: Pair(f"the {one} is a or b", f"the {other} is a or b", " b", " a")  # noqa: E731
    found = behaviour(ask("Ox", "Oxen"), turned("Ka", "As")).repaired(Letters())
    assert found.pairs == (turned("Ka", "As"),)


def test_the_clean_prompt_changes_when_only_that_helps():
    # No patch word of two tokens, as the clean one has, but a clean word of one, as the patch one has.
    whole = behaviour(agrees("Oxen", "As"), agrees("Ka", "Us"))
    found = behaviour(agrees("Oxen", "As"), agrees("Ka", "Us")).repaired(Letters())
    assert found.pairs[0] == agrees("Ka", "As") and found.pairs[1] == whole.pairs[1]


def test_only_the_same_place_case_and_half_lend_words():
    broken, fits = agrees("Ox", "Oxen"), agrees("Ka", "As")
    elsewhere = Pair("old the Ka of old", "old the As of old", " has", " have", "singular")
    for whole in (
        behaviour(broken, elsewhere),
        behaviour(broken, agrees("Ka", "As", "plural")),
        behaviour(broken, fits, split=1),
    ):
        assert whole.repaired(Letters()).pairs == whole.pairs[1:]
    assert len(behaviour(broken, fits).repaired(Letters())) == 2


def test_no_prompt_of_the_other_half_is_made():
    whole = behaviour(agrees("Ox", "Oxen"), agrees("Ka", "As"), agrees("Mi", "Us"), agrees("As", "Ox"), split=3)
    crossing = replace(
        whole, pairs=(*whole.pairs[:3], Pair("the As of old", "the Us of old", " has", " have", "plural"))
    )
    assert whole.repaired(Letters()).pairs[0] == agrees("Ox", "Us")
    assert crossing.repaired(Letters()).pairs == crossing.pairs[1:]


def test_what_cannot_be_repaired_is_counted_and_shown():
    found = behaviour(agrees("Ox", "Oxen"), agrees("Ka", "As", "other"), split=1).repaired(Letters())
    assert found.dropped == 1 and found.split == 0
    assert found.note == (
        "1 of 2 pairs fell out: clean and patch prompt differ in length and no word of another pair helps, as in "
        "'the Ox of old' has 4 tokens ['the', 'Ox', 'of', 'old'], 'the Oxen of old' has 5 "
        "['the', 'Ox', 'en', 'of', 'old']."
    )
    with pytest.raises(ValueError, match=r"no pair of toy is left\. 1 of 1 pairs fell out: .* 'the Oxen of old' has 5"):
        behaviour(agrees("Ox", "Oxen")).repaired(Letters())


def test_two_prompts_of_other_words_but_one_length_still_stand_side_by_side():
    # Two differences, a token more here and a token less there, are no repair.
    two = lambda a, b, c, d: Pair(f"{a} saw {b} run", f"{c} saw {d} run", " x", " y")  # noqa: E731
    found = behaviour(two("Jo", "Al", "Anna", "Ed"), two("Bo", "Cleo", "Cy", "Di")).repaired(Letters())
    assert all(len(Letters().split(str(p.clean))) == len(Letters().split(str(p.patch))) for p in found.pairs)
    assert found.pairs[0] == two("Jo", "Al", "Cy", "Ed")


def test_token_ids_have_no_words_and_other_misfits_are_left_to_bind():
    ids = behaviour(Pair((1, 2), (1, 2, 3), (4,), (5,)), Pair((1, 2), (1, 3), (4,), (5,)))
    assert ids.repaired(Letters()).pairs == ids.pairs[1:]
    two_tokens = replace(agrees("Ka", "As"), answers=(" Hasit",))
    assert behaviour(two_tokens, agrees("Ox", "As")).repaired(Letters()).pairs[0] == two_tokens

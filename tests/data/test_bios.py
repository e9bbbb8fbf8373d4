import pytest

from clew.data.bios import DUTIES, GENDERED, KEYWORDS, bios


def test_free_time_repeats_the_pronoun_and_not_the_profession() -> None:
    for n in (1, 3, 5):
        made = bios(40, professions=("nurse", "professor"), free_time=n, seed=2)
        for text, gender, profession in zip(made.texts, made["gender"], made["profession"], strict=True):
            pronoun = "she" if gender == "female" else "he"
            assert text.lower().split().count(pronoun) == n + 1
            assert sum(duty in text for duties in DUTIES.values() for duty in duties) == 1 and profession not in text


def test_one_sentence_on_free_time_is_as_it_was() -> None:
    assert bios(100, seed=3).hash == "719c223f492a88bf"


def test_every_profession_has_keywords_of_its_own() -> None:
    words = [word for profession in DUTIES for word in KEYWORDS[profession]]
    assert set(KEYWORDS) == set(DUTIES) and len(words) == len(set(words)) == 10 * len(DUTIES)


def test_gendered_words_are_pronouns_and_names_and_no_duty() -> None:
    assert {"she", "his", "mary", "james", "husband"} <= GENDERED
    assert not {word for duties in DUTIES.values() for duty in duties for word in duty.split()} & GENDERED


def test_too_much_free_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="free_time=6 is outside 1 to 5"):
        bios(4, free_time=6)

import pytest

from clew.data.labels.bios import DUTIES, GENDERED, KEYWORDS, bios


def test_only_the_duties_asked_for_are_told() -> None:
    told, untold = DUTIES["chef"][1], [duty for duty in DUTIES["chef"] if duty != DUTIES["chef"][1]]
    made = bios(10, professions=("chef",), duties=[1]).texts
    assert all(told in text and not any(duty in text for duty in untold) for text in made)
    with pytest.raises(ValueError, match=r"duties=\[6\]: choose some of 0 to 5"):
        bios(4, duties=[6])


def test_a_text_says_its_gender_in_pronouns_and_its_profession_in_one_duty() -> None:
    made = bios(40, professions=("nurse", "professor"), seed=2)
    for text, gender, profession in zip(made.texts, made["gender"], made["profession"], strict=True):
        assert text.lower().split().count("she" if gender == "female" else "he") == 2
        assert sum(duty in text for duties in DUTIES.values() for duty in duties) == 1 and profession not in text


def test_the_same_seed_gives_the_same_texts() -> None:
    assert bios(100, seed=3).hash == "719c223f492a88bf"


def test_every_profession_has_keywords_of_its_own() -> None:
    words = [word for profession in DUTIES for word in KEYWORDS[profession]]
    assert set(KEYWORDS) == set(DUTIES) and len(words) == len(set(words)) == 10 * len(DUTIES)


def test_gendered_words_are_pronouns_and_names_and_no_duty() -> None:
    assert {"she", "his", "mary", "james", "husband"} <= GENDERED
    assert not {word for duties in DUTIES.values() for duty in duties for word in duty.split()} & GENDERED

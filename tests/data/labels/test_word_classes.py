from clew.data.labels.word_classes import word_classes


def test_words_have_the_classes_that_anyone_knows():
    given = word_classes(per_class=500)
    known = {text.rsplit(maxsplit=1)[-1]: i for i, text in enumerate(given.texts)}
    number, kind = given.labels["number"], given.labels["kind"]
    nurse, nurses = known["nurse"], known["nurses"]
    assert (number[nurse], number[nurses]) == ("singular", "plural") and kind[nurse] == kind[nurses] == "person"


def test_no_class_has_more_than_asked_for_and_a_seed_draws_the_same():
    given = word_classes(per_class=5, seed=1)
    assert given == word_classes(per_class=5, seed=1)
    assert max(given.labels["number"].count(name) for name in ("singular", "plural")) <= 5

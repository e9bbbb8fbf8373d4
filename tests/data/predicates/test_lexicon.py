from clew.data.predicates.lexicon import LISTS, classes


def test_a_word_is_in_all_its_classes_whatever_its_case_and_blanks():
    assert classes(" He") == ("subject pronouns", "masculine pronouns") and classes("xyz") == () and classes("") == ()


def test_lists_are_in_lower_case_without_blanks_and_none_is_empty():
    assert all(words and all(w == w.lower().strip() for w in words) for words in LISTS.values())


def test_no_two_classes_hold_the_same_words():
    assert len({frozenset(words) for words in LISTS.values()}) == len(LISTS)

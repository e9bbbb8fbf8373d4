from clew.readings.asking.count import Count, tokens_in


def test_counts_add_up():
    assert Count(1, 2, 3, 4, 5) + Count(requests=10) == Count(11, 2, 3, 4, 5)


def test_it_says_itself():
    said = "1 request, 0 answers from the cache, 1,200 tokens read, 1 written, 2 answers that could not be read"
    assert str(Count(1, 0, 1200, 1, 2)) == said


def test_letters_are_about_a_quarter_as_many_tokens():
    assert [tokens_in(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]

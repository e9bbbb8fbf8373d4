from clew.statistics.intervals import wilson


def test_wilsons_interval_is_the_known_one():
    """Newcombe 1998, table I: 81 of 263, and 0 of 20."""
    assert [round(end, 4) for end in wilson(81 / 263, 263)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in wilson(0.0, 20)] == [0.0, 0.1611]


def test_it_stays_between_nothing_and_all():
    low, high = wilson(1.0, 3)
    assert 0 < low < 1 and high == 1

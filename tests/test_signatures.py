"""What a function is made for is read off its signature, and a refusal says what would go."""

from functools import partial
from typing import Any

import pytest

from clew.report import Row
from clew.signatures import check_kinds, check_options, fits, is_one, name_of, options_of


def measure(model: object, words: str | bytes, row: Row | None = None, *, size: int = 3, how: str) -> None: ...


def counted(model: object, numbers: list[int], *, size: int = 3) -> None: ...


def test_what_fits_is_told_by_kind_and_number():
    row = Row("r", 1.0, 0.0, 2.0)
    assert fits(measure, ["a"]) and fits(measure, [b"a", row]) and fits(counted, [[1]])
    assert not fits(measure, []) and not fits(measure, [3]) and not fits(measure, ["a", row, row])
    assert fits(lambda model, anything: None, [3])


def test_a_hint_is_looked_at_as_far_as_its_container():
    assert is_one([1], list[str]) and is_one(None, Row | None) and is_one(3, Any) and not is_one((1,), list[int])


def test_a_refusal_says_what_it_takes_what_was_given_and_what_goes_with_that():
    with pytest.raises(
        ValueError, match="^measure takes a str or a bytes and at most a Row; a list was given; .* counted$"
    ):
        check_kinds(measure, [[1]], [measure, counted])
    with pytest.raises(ValueError, match="counted takes a list; nothing was given$"):
        check_kinds(counted, [], [measure])


def test_options_are_known_and_none_that_is_needed_is_missing():
    assert options_of(counted) == {"size": 3}
    check_options(measure, {"how": "so"})
    with pytest.raises(ValueError, match="measure has no option 'hou'; it takes size, how"):
        check_options(measure, {"hou": "so"})
    with pytest.raises(ValueError, match="measure needs how=, which was not given"):
        check_options(measure, {})


class Counted:
    def __call__(self, model: object, *, size: int = 3) -> None: ...


def test_what_can_be_called_has_a_name():
    assert [name_of(one) for one in (counted, partial(partial(counted), size=2), Counted())] == [
        "counted",
        "counted",
        "Counted",
    ]
    with pytest.raises(ValueError, match="Counted has no option 'sizes'; it takes size"):
        check_options(Counted(), {"sizes": 3})

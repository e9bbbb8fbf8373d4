import pytest

from clew.scale.forecast import Forecast, Trial


def law(items: int, start: float = 5.0, each: float = 0.25, memory: int = 10**9) -> Trial:
    return Trial(items, start + each * items, each * items, memory, 1000 + 8 * items)


def test_a_start_and_an_equal_share_for_each_item_are_foretold_exactly() -> None:
    made = Forecast.of([law(8), law(16), law(32)], 1000)
    assert made.seconds.value == made.seconds.low == made.seconds.high == 255.0
    assert (made.memory.value, made.disk.value, made.gpu.value) == (10**9, 9000, 0)
    assert made.cpu.value == 250.0 and made.settled and made.seconds.off(306.0) == pytest.approx(0.2)


def test_where_it_bends_the_last_line_is_taken_and_the_one_before_is_told() -> None:
    made = Forecast.of([Trial(8, 6.0, 6.0, 1, 0), Trial(16, 10.0, 10.0, 1, 0), Trial(32, 14.0, 14.0, 1, 0)], 64)
    assert (made.seconds.low, made.seconds.value, made.seconds.high) == (22.0, 22.0, 30.0)
    assert not made.settled


def test_what_the_machine_did_beside_a_part_is_not_drawn_out() -> None:
    held_up = Trial(16, 11.0, 4.0, 1, 0)
    made = Forecast.of([Trial(8, 7.0, 2.0, 1, 0), held_up, Trial(32, 13.0, 8.0, 1, 0)], 1000)
    assert (made.cpu.value, made.seconds.value) == (250.0, 255.0)  # the last two parts alone would say 134
    both = Forecast.of([Trial(8, 5.0, 4.0, 1, 0), Trial(16, 7.0, 8.0, 1, 0)], 80)
    assert (made.settled, both.cpu.value, both.seconds.value) == (True, 40.0, 23.0)  # two processors at once
    waits = Forecast.of([Trial(8, 8.0, 0.1, 1, 0), Trial(16, 16.0, 0.11, 1, 0)], 80)
    assert waits.seconds.value == 80.0


def test_memory_that_grows_by_less_than_noise_is_flat_and_other_memory_is_a_line() -> None:
    flat = [Trial(8, 1.0, 1.0, 1000, 0), Trial(16, 2.0, 2.0, 1009, 0)]
    assert Forecast.of(flat, 800).memory.high == 1009
    grown = [Trial(8, 1.0, 1.0, 1000, 0), Trial(16, 2.0, 2.0, 1080, 0)]
    assert Forecast.of(grown, 800).memory.value == 1080 + 10 * 784


def test_where_the_memory_of_the_whole_is_known_a_line_is_the_most() -> None:
    grown = [Trial(8, 1.0, 1.0, 1000, 0), Trial(16, 2.0, 2.0, 1080, 0)]
    held = Forecast.of(grown, 800, held=1500).memory
    assert (held.low, held.value, held.high) == (1500, 1500, 8920)
    assert Forecast.of(grown, 800, held=900).memory.value == 1080


def test_one_part_alone_grows_with_the_items_at_most_and_the_whole_is_itself() -> None:
    alone = Forecast.of([law(10)], 100)
    assert (alone.seconds.low, alone.seconds.high) == (7.5, 75.0)
    whole = Forecast.of([law(10)], 10)
    assert whole.seconds.low == whole.seconds.high == 7.5


@pytest.mark.parametrize("sizes", [(), (8, 8), (16, 8)])
def test_parts_must_grow(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="growing size"):
        Forecast.of([law(n) for n in sizes], 100)

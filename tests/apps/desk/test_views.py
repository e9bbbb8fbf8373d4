import threading
import time

import pytest

from clew.apps._desk.refusals import TooBusy
from clew.apps._desk.views import Gate


def test_who_came_first_goes_first_and_who_comes_when_it_is_full_is_turned_away():
    gate, order, inside = Gate("tiny", 2), [], threading.Event()
    leave = threading.Event()

    def call(name: str) -> None:
        with gate.turn():
            order.append(name)
            if name == "a":
                inside.set()
                leave.wait(10)

    threads = [threading.Thread(target=call, args=(name,)) for name in "abc"]
    for i, thread in enumerate(threads):
        thread.start()
        while gate.waiting <= i:
            time.sleep(0.01)
    with pytest.raises(TooBusy, match="2 calls wait for it already"), gate.turn():
        pass
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["a", "b", "c"] and gate.waiting == 0


def test_long_work_lets_those_go_first_who_wait_but_not_for_ever():
    gate = Gate("tiny", 2)
    gate.give_way()
    with gate.turn():
        started = time.monotonic()
        gate.give_way(0.1)
        assert 0.05 < time.monotonic() - started < 5

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import clew
from clew.evidence import Message
from clew.readings.asking.answer import Answer, Continuation, Question, Refused, Token
from clew.readings.asking.asks import PROBE, TOP, Asks
from clew.readings.asking.count import Count
from clew.readings.asking.endpoint import Endpoint
from clew.readings.asking.kept import Kept, Remembered
from clew.readings.asking.local import Local
from tests.models.tiny import model_of
from tests.readings.asking.scripted import Scripted, scripted
from tests.readings.asking.server import Bad, chat, logprobs, serving


def question(word, **more):
    return Question((Message("user", str(word)),), **more)


def asking(server, folder, **more):
    return Asks(Endpoint(server.url, "small", **({"first": 0.01, "attempts": 2} | more)), Kept(folder))


def test_what_was_asked_once_is_not_asked_again(tmp_path):
    with serving(lambda body: chat(body["messages"][0]["content"] + "!")) as server:
        first = asking(server, tmp_path).ask([question(n) for n in range(9)])
        again = asking(server, tmp_path)
        assert again.ask([question(n) for n in range(9)]) == first and len(server.asked) == 9
    assert [a.text for a in first] == [f"{n}!" for n in range(9)]
    assert again.count == Count(cached=9)


def test_a_damaged_answer_is_asked_again(tmp_path):
    with serving(lambda body: chat("yes")) as server:
        asking(server, tmp_path).ask([question("a"), question("b")])
        next(iter(tmp_path.rglob("*.json"))).write_text("{")
        again = asking(server, tmp_path)
        assert [a.text for a in again.ask([question("a"), question("b")])] == ["yes"] * 2
        assert again.count.requests == 1 and again.count.cached == 1 and len(server.asked) == 3


def test_after_an_error_what_was_answered_is_kept(tmp_path):
    fails = True

    def answer(body):
        return Bad(500) if fails and body["messages"][0]["content"] == "5" else chat("yes")

    with serving(answer) as server:
        with pytest.raises(ConnectionError, match="is kept"):
            asking(server, tmp_path, width=1).ask([question(n) for n in range(9)])
        assert len(server.asked) == 5 + 2
        fails = False
        again = asking(server, tmp_path)
        again.ask([question(n) for n in range(9)])
        assert (again.count.cached, again.count.requests) == (5, 4)


def test_a_run_that_is_killed_repeats_nothing(tmp_path):
    """Killed in the middle by SIGKILL; the second run asks the rest, and the server sees every question once."""
    script = (
        "import sys; from pathlib import Path; from clew.evidence import Message\n"
        "from clew.readings.asking.answer import Question; from clew.readings.asking.asks import Asks\n"
        "asks = Asks.open(sys.argv[1], 'small', keep=sys.argv[2], width=1)\n"
        "print(len(asks.ask([Question((Message('user', str(n)),)) for n in range(30)])), asks.count.requests)\n"
    )
    slow = [Bad(body=__import__("json").dumps(chat("yes")), wait=0.1)] * 12
    command = [sys.executable, "-c", script]
    with serving(lambda body: chat("yes"), *slow) as server:
        killed = subprocess.Popen([*command, server.url, str(tmp_path)], cwd=Path(clew.__file__).parent.parent)
        while len(list(tmp_path.rglob("*.json"))) < 4 and killed.poll() is None:
            time.sleep(0.01)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        before = len(list(tmp_path.rglob("*.json")))
        assert 4 <= before < 30
        out = subprocess.run(
            [*command, server.url, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(clew.__file__).parent.parent,
        ).stdout
        assert out.split() == ["30", str(30 - before)]
        assert len(server.asked) <= 31  # the one that was under way when it was killed


def test_no_more_are_asked_at_once_than_there_is_room_for(tmp_path):
    def slow(body):
        time.sleep(0.02)
        return chat("yes")

    with serving(slow) as server:
        asking(server, tmp_path, width=3).ask([question(n) for n in range(20)])
        assert 1 < server.most <= 3


def test_answers_stand_in_the_order_of_the_questions(tmp_path):
    def late(body):
        n = int(body["messages"][0]["content"])
        time.sleep(0.03 if n % 2 else 0)
        return chat(str(n))

    with serving(late) as server:
        answers = asking(server, tmp_path).ask([question(n) for n in range(12)])
    assert [a.text for a in answers] == [str(n) for n in range(12)]


def test_whether_log_probabilities_come_is_tried_once_and_kept(tmp_path):
    with serving(lambda body: chat("1", logprobs(("1", -0.1)))) as server:
        asks = asking(server, tmp_path)
        assert asks.said() == asks.name and asks.soft and asks.soft and len(server.asked) == 1
        assert asks.said() == f"{asks.name}, probabilities" and asking(server, tmp_path).soft and len(server.asked) == 1


@pytest.mark.parametrize("missing", [chat("1"), chat("1", {"content": []}), chat("1", {"content": None})])
def test_where_they_are_left_out_digits_count(tmp_path, missing):
    with serving(lambda body: missing) as server:
        asks = asking(server, tmp_path)
        assert not asks.soft and asks.said().endswith("yes or no alone")


def test_where_the_wish_is_refused_digits_count(tmp_path):
    with serving(lambda body: Bad(400, "logprobs are not supported") if "logprobs" in body else chat("1")) as server:
        asks = asking(server, tmp_path)
        assert not asks.soft and [("logprobs" in body) for body in server.asked] == [True, False]
        assert not asking(server, tmp_path).soft and len(server.asked) == 2


def test_what_stands_twice_among_questions_is_asked_once(tmp_path):
    def slow(body):
        time.sleep(0.05)
        return chat(body["messages"][0]["content"])

    with serving(slow) as server:
        answers = asking(server, tmp_path).ask([question(n % 3) for n in range(9)])
        assert [a.text for a in answers] == ["0", "1", "2"] * 3 and len(server.asked) == 3


def test_it_counts_what_was_asked():
    asks = scripted(lambda q: "x" * 8)
    asks.chat([("user", "y" * 40)])
    asks.chat([("user", "y" * 40)])
    asks.unread()
    assert asks.count == Count(1, 1, 10, 2, 1)


def test_an_estimate_asks_nothing_and_knows_what_is_kept(tmp_path):
    real = Asks(Scripted(lambda q: "a real answer"), Kept(tmp_path))
    real.ask([question("kept")])
    dry = real.estimating()
    answers = dry.ask(
        [question("kept", usual="[0]"), question("new" * 20, usual="[0]"), question("new" * 20, usual="[0]")]
    )
    assert [a.text for a in answers] == ["a real answer", "[0]", "[0]"] and len(real.answers.asked) == 1
    assert dry.count == Count(1, 1, 15, 1) and dry.soft and dry.judge([Continuation("a", "b")])[0].log_p == 0
    assert len(list(tmp_path.rglob("*.json"))) == 1 and real.count == Count(1, 0, 1, 3)


def test_texts_are_judged_and_kept():
    asks = scripted(lambda q: "", log_p=lambda q: -float(len(q.text)))
    assert [a.log_p for a in asks.judge([Continuation("a", "bc"), Continuation("a", "bc")])] == [-2, -2]
    assert asks.count.requests == 1


def test_it_is_written_alike_for_the_same_model_and_not_for_another():
    one, same, other = (Asks(Local(model_of(family)), Remembered()) for family in ("llama", "llama", "gpt2"))
    assert repr(one) == repr(same) != repr(other) and repr(one).startswith("Asks('tiny llama', ")


def test_open_tells_an_address_from_a_model(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    far = clew.Asks.open("http://localhost:1/v1", "m", key_from="K", width=3, timeout=7.0, keep=tmp_path)
    assert far.answers == Endpoint("http://localhost:1/v1", "m", "K", 3, timeout=7.0) and far.kept.folder == tmp_path
    near = clew.Asks.open(model_of())
    assert isinstance(near.answers, Local) and near.kept.folder == tmp_path / "answers"
    with pytest.raises(ValueError, match="as model="):
        clew.Asks.open("http://localhost:1/v1")
    with pytest.raises(ValueError, match="is a model itself"):
        clew.Asks.open("smollm2-135m", "gpt")
    with pytest.raises(ValueError, match="is no model"):
        clew.Asks.open("smollm2-135")


def test_the_probe_asks_for_a_digit_and_its_rivals():
    assert PROBE.top == TOP and "1" in PROBE.messages[0].content
    assert Asks(Scripted(lambda q: Answer("1", (Token("1", 0.0),))), Remembered()).soft
    refusing = Scripted(lambda q: (_ for _ in ()).throw(Refused("no")))
    with pytest.raises(Refused):
        _ = Asks(refusing, Remembered()).soft

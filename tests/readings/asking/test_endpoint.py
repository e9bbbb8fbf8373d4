import logging
import time
from email.utils import formatdate

import pytest

from clew.evidence import Message
from clew.readings.asking.answer import Answers, Continuation, Question, Refused
from clew.readings.asking.endpoint import KEY, Endpoint
from tests.readings.asking.server import Bad, chat, logprobs, serving

SECRET = "sk-very-secret-0123"
HELLO = Question((Message("system", "Be short."), Message("user", "Hello?")), max_tokens=9)


def endpoint(server, **more):
    return Endpoint(server.url, "small", **({"first": 0.01, "longest": 0.02, "timeout": 5.0} | more))


def test_a_question_is_sent_as_the_protocol_has_it_and_the_answer_read():
    with serving(lambda body: chat("Hi.")) as server:
        answer = endpoint(server).chat(HELLO)
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions" and asked["model"] == "small" and asked["temperature"] == 0
    assert asked["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello?"}]
    assert asked["max_tokens"] == 9 and "logprobs" not in asked and "authorization" not in server.headers[0]
    assert (answer.text, answer.tokens, answer.read, answer.written) == ("Hi.", None, 7, 3)
    assert isinstance(endpoint(server), Answers) and endpoint(server).name == f"small at {server.url}"


def test_log_probabilities_are_asked_for_and_read():
    with serving(lambda body: chat("1", logprobs(("1", -0.1)))) as server:
        answer = endpoint(server).chat(Question(HELLO.messages, top=5))
    assert server.asked[0]["logprobs"] is True and server.asked[0]["top_logprobs"] == 5
    (token,) = answer.tokens
    assert (token.text, token.log_p, dict(token.top)) == ("1", -0.1, {"1": -0.1, "0": -2.4})


@pytest.mark.parametrize("held", [None, {}, {"content": None}, {"content": []}, {"content": [{"token": 3}]}, ["x"]])
def test_log_probabilities_that_are_left_out_or_malformed_are_none(held):
    with serving(lambda body: chat("1", held)) as server:
        assert endpoint(server).chat(Question(HELLO.messages, top=5)).tokens is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_where_it_is_busy_it_is_asked_again(status):
    with serving(lambda body: chat("Hi."), Bad(status), Bad(status)) as server:
        assert endpoint(server).chat(HELLO).text == "Hi." and len(server.asked) == 3


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", "{}", '{"choices": []}', '{"choices": [{"message": {"content": 3}}]}']
)
def test_garbage_is_asked_again_and_never_taken(body):
    with serving(lambda _: chat("Hi."), Bad(body=body)) as server:
        assert endpoint(server).chat(HELLO).text == "Hi." and len(server.asked) == 2


def test_one_that_does_not_answer_in_time_is_asked_again():
    with serving(lambda body: chat("Hi."), Bad(body="{}", wait=0.6)) as server:
        assert endpoint(server, timeout=0.2).chat(HELLO).text == "Hi." and len(server.asked) == 2


def test_attempts_are_bounded_and_the_error_says_the_last_reason():
    with serving(lambda body: Bad(503, "too many\n people")) as server:
        with pytest.raises(
            ConnectionError, match=r"no answer in 3 attempts; at last: HTTP 503: too many people; what was"
        ):
            endpoint(server, attempts=3).chat(HELLO)
        assert len(server.asked) == 3


def test_one_that_is_not_there_is_tried_again_and_named():
    with pytest.raises(
        ConnectionError, match=r"http://127.0.0.1:9/v1 gave no answer in 2 attempts; at last: ConnectError"
    ):
        Endpoint("http://127.0.0.1:9/v1", "m", attempts=2, first=0.0).chat(HELLO)


def test_the_pause_grows_and_is_a_matter_of_chance():
    sending = Endpoint("http://a/v1", "m", first=1.0, longest=6.0)._sending
    drawn = [[sending._pause(n) for n in range(5)] for _ in range(20)]
    assert all(2**n / 2 <= p <= 2**n for row in drawn for n, p in enumerate(row[:2]))
    assert all(3 <= p <= 6 for row in drawn for p in row[3:]) and len({row[0] for row in drawn}) > 1


@pytest.mark.parametrize("named", [lambda: "0.4", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_it_waits_as_long_as_the_server_says(named):
    with serving(lambda body: chat("Hi."), Bad(429, headers={"Retry-After": named()})) as server:
        began = time.monotonic()
        endpoint(server).chat(HELLO)
        assert time.monotonic() - began > 0.35


@pytest.mark.parametrize("named", ["soon", "-5", ""])
def test_a_time_that_is_none_is_passed_over(named):
    with serving(lambda body: chat("Hi."), Bad(429, headers={"Retry-After": named})) as server:
        assert endpoint(server).chat(HELLO).text == "Hi."


def test_it_does_not_wait_for_hours():
    quota, said = (
        Bad(429, "quota", headers={"Retry-After": "7200"}),
        r"1 attempts; at last: HTTP 429: quota \(in 7200 seconds\)",
    )
    with serving(lambda body: quota) as server, pytest.raises(ConnectionError, match=said):
        endpoint(server).chat(HELLO)


@pytest.mark.parametrize(("status", "hint"), [(400, "bad thing"), (401, KEY), (404, "up to /v1"), (301, "refused")])
def test_what_it_refuses_is_not_asked_again(status, hint):
    with serving(lambda body: Bad(status, "bad thing", {"location": "http://127.0.0.1:9"})) as server:
        with pytest.raises(Refused, match=hint):
            endpoint(server).chat(HELLO)
        assert len(server.asked) == 1


def test_the_key_is_sent_and_stands_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    with serving(lambda body: Bad(401, f"Incorrect API key provided: {SECRET}")) as server:
        asked = endpoint(server, key_from="MY_KEY")
        with pytest.raises(Refused) as refused:
            asked.chat(HELLO)
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    with serving(lambda body: Bad(500, f"cannot use {SECRET}")) as server, pytest.raises(ConnectionError) as failed:
        endpoint(server, key_from="MY_KEY", attempts=1).chat(HELLO)
    said = f"{refused.value} {failed.value} {asked!r} {asked._sending!r} {asked.name} {asked.identity} {caplog.text}"
    assert SECRET not in said and "API key provided: ..." in said and "MY_KEY" in said


@pytest.mark.parametrize("key", ["two words", "line\nend", "schlüssel"])
def test_a_key_that_is_none_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv(KEY, key)
    with pytest.raises(ValueError, match="is no key") as error:
        Endpoint("http://127.0.0.1:9/v1", "m").chat(HELLO)
    assert key not in str(error.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [("localhost:8000", "no address"), ("ftp://a/v1", "no address"), (f"https://me:{SECRET}@a/v1", "into the environment"),
     (f"https://a/v1?key={SECRET}", "into the environment"), ("http:///v1", "no address")],
)  # fmt: skip
def test_an_address_holds_no_key(url, message):
    with pytest.raises(ValueError, match=message) as error:
        Endpoint(url, "m")
    assert SECRET not in str(error.value)


def test_it_takes_a_model_and_room_to_work():
    for wrong in ({"model": ""}, {"model": "m", "width": 0}, {"model": "m", "attempts": 0}):
        with pytest.raises(ValueError, match=r"as model=|at least 1"):
            Endpoint("http://a/v1", **wrong)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpx2", None)
    with pytest.raises(ImportError, match=r"clew\[ask\]"):
        Endpoint("http://a/v1", "m").chat(HELLO)


def echoed(words, given):
    choice = {"text": "".join(words), "logprobs": {"tokens": list(words), "token_logprobs": given}}
    return {"choices": [choice], "usage": {"prompt_tokens": 4, "completion_tokens": 1}}


def test_a_text_is_judged_by_a_completion_that_repeats_it():
    with serving(lambda body: echoed(("It", " is", " so", "."), (None, -1.0, -2.0, -9.0))) as server:
        answer = endpoint(server).judge(Continuation("It", " is so"))
    with serving(lambda body: echoed(("<s>", " It", " is", " so", "."), (None, -0.5, -1.0, -2.0, -9.0))) as server:
        assert endpoint(server).judge(Continuation("It", " is so")) == answer
    assert server.asked[0]["path"] == "/v1/completions" and server.asked[0]["echo"] is True
    assert [t.text for t in answer.tokens] == [" is", " so"] and answer.log_p == -3 and answer.read == 4


@pytest.mark.parametrize(
    "said",
    [
        chat("x"),
        {"choices": [{"text": "x", "logprobs": None}]},
        echoed((" so",), (-1.0,)),
        echoed(("It", " is so"), (None,)),
    ],
)
def test_one_that_does_not_tell_log_p_of_a_given_text_says_so(said):
    with serving(lambda body: said) as server, pytest.raises(Refused, match="log p"):
        endpoint(server).judge(Continuation("It", " is so"))

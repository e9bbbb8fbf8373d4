"""What comes back over the OpenAI protocol, read: servers leave out what they do not know, and some say it in other ways."""

from __future__ import annotations

from typing import Any

from clew.files import entries, entry, typed
from clew.readings.asking.answer import Answer, Continuation, Question, Refused, Token
from clew.readings.asking.count import tokens_in


def chat(value: Any, question: Question) -> Answer:
    """Of a chat completion. Raises: ValueError for what is none."""
    choice = _choice(value)
    text = entry(choice, "message", dict, origin="the choice").get("content") or ""
    return Answer(
        typed(text, "the content", str), _tokens(choice.get("logprobs")), *_usage(value, len(question), len(text))
    )


def judged(value: Any, question: Continuation, name: str) -> Answer:
    """Of a completion that repeats its prompt, after a token that begins a text or without one.

    Raises: Refused where it does not repeat it, or log p is missing.
    """
    held, whole = _choice(value).get("logprobs"), question.prompt + question.text
    if not isinstance(held, dict) or not held.get("token_logprobs"):
        raise Refused(f"{name} does not tell log p of a text that it is given; ask a model in this process instead")
    words, given = (
        entries(held, "tokens", str, origin="logprobs"),
        entry(held, "token_logprobs", list, origin="logprobs"),
    )
    ends = [len("".join(words[: i + 1])) for i in range(len(words))]
    start = "".join(words).find(whole)
    if len(given) != len(words) or start < 0:
        raise Refused(f"{name} does not repeat a text that it is given, so log p of it is not known")
    first, last = start + len(question.prompt), start + len(whole)
    inside = [i for i, end in enumerate(ends) if end > first and end - len(words[i]) < last]
    tokens = tuple(Token(words[i], float(typed(given[i], "log p", float))) for i in inside)
    return Answer(question.text, tokens, *_usage(value, len(whole), 0))


def _choice(value: Any) -> dict[str, Any]:
    choices = entries(value, "choices", dict, origin="the answer")
    if not choices:
        raise ValueError("the answer has no choices")
    return choices[0]


def _tokens(held: Any) -> tuple[Token, ...] | None:
    """The tokens with log p, where a server tells them; None for whatever else it says."""
    content = held.get("content") if isinstance(held, dict) else None
    if not isinstance(content, list) or not content:
        return None
    try:
        return tuple(Token(*_one(token), tuple(map(_one, token.get("top_logprobs") or ()))) for token in content)
    except (ValueError, AttributeError):
        return None


def _one(token: Any) -> tuple[str, float]:
    word = entry(token, "token", str, origin="a token")
    return word, float(entry(token, "logprob", float, origin="a token"))


def _usage(value: Any, read: int, written: int) -> tuple[int, int]:
    """Tokens of the question and of the answer; about, where the server does not say."""
    held = value.get("usage")
    held = held if isinstance(held, dict) else {}
    said = [held.get(name) for name in ("prompt_tokens", "completion_tokens")]
    usual = (tokens_in(read), tokens_in(written))
    one, two = (s if isinstance(s, int) and s >= 0 else u for s, u in zip(said, usual, strict=True))
    return one, two

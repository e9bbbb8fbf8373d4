"""Language models that understand descriptions of the planted meanings, answer by chance, or talk of something else."""

import json
import re
from functools import cache

import numpy as np

from clew.explain._said import shown
from clew.readings.asking.answer import Continuation, Question
from clew.readings.asking.asks import Asks
from clew.readings.asking.kept import Remembered
from clew.readings.unseen import WINDOW, starts_of, window_of
from tests.explain.known import known
from tests.readings.asking.scripted import Scripted

BARE = re.compile(r"<<|>>")


@cache
def windows():
    """Every window of the known text as it is shown, to its tokens."""
    text = known().table.text
    starts = starts_of(text, np.ones(len(text.documents) - 1, bool))
    window = window_of(text, starts)
    inside = [np.flatnonzero(window[s : s + WINDOW] == i) + s for i, s in enumerate(starts.tolist())]
    return {shown(text, tokens): tokens for tokens in inside}


@cache
def strengths(said):
    """What a meaning predicts, by its words."""
    meant = next((m.rule for m in known().truth if str(m.rule) == said), None)
    return np.zeros(len(known().table.text)) if meant is None else meant(known().table, known().firings)


def fires(said, text):
    """Whether it does in a window, or on more than half of what is marked in it."""
    tokens = windows()[BARE.sub("", text)]
    on = strengths(said)[tokens] > 0
    parts = BARE.split(text)
    if len(parts) == 1:
        return bool(on.any())
    bounds = np.cumsum([0, *map(len, parts)])  # unmarked and marked by turns
    pieces = known().table.text.pieces
    words = [pieces[k].replace("\n", "\\n") for k in known().table.text.kinds[tokens]]
    ends = np.cumsum([len(words[0].lstrip()), *map(len, words[1:])])
    marked = (np.searchsorted(bounds, ends - 1, side="right") - 1) % 2 == 1
    return bool(on[marked].mean() > 0.5)


def perfect(named="months"):
    """Describes whatever it is shown by this name, and knows what descriptions mean."""

    def say(question: Question) -> str:
        asked = question.messages[-1].content
        texts = re.findall(r"^Text \d+: (.*)$", asked, re.MULTILINE)
        if not asked.startswith("Description: "):
            if "number" in question.messages[0].content and "Strengths" not in asked and "Fires on" not in asked:
                return str(1 + [*(fires(named, text) for text in texts), False].index(False) % len(texts))
            return f"They are alike.\nDESCRIPTION: {named}" if "Strengths" in asked else f"LABEL: {named}"
        said, _, rest = asked.removeprefix("Description: ").partition("\n\n")
        if texts:
            return str([int(fires(said, text)) for text in texts])
        return str(_of_tokens(said, rest))

    def log_p(question: Continuation) -> float:
        said = next((str(m.rule) for m in known().truth if f": {m.rule}\n" in question.prompt), "")
        return -50.0 + 5 * fires(said, question.text.strip())

    return Asks(Scripted(say, log_p), Remembered())


def _of_tokens(said, listed):
    pieces = json.loads(listed)
    text = known().table.text
    for tokens in windows().values():
        if [text.pieces[k] for k in text.kinds[tokens]] == pieces:
            return [10 * int(x > 0) for x in strengths(said)[tokens]]
    raise AssertionError(listed)


def random():
    """Says 0 and 1 by the toss of a coin."""
    draw = np.random.default_rng(0)
    return Asks(Scripted(lambda q: str(draw.integers(0, 2, q.usual.count("0")).tolist())), Remembered())


def garbled():
    """Never answers what it is asked."""
    return Asks(Scripted(lambda q: "I would rather talk about the sea."), Remembered())


def knowing(texts):
    """An encoder: texts in which months stand lie where what is about months lies."""
    about = [fires("months", text) if text in windows() else "months" in text for text in texts]
    return np.array([[1.0, 0.1] if one else [0.1, 1.0] for one in about])

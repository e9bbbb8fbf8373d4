"""Phrases: a language model names a unit in one to six words, from lists that it looks through in an order it is told.

The lists are: what the unit promotes, if that is known, the tokens on which it fires most, those that follow them, and the
texts around them. Source: the short labels of Neuronpedia, in our own words. Differs: all of it comes from documents that no
scorer sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from clew.data.predicates.table import Table
from clew.evidence import Message
from clew.explain.explainers._examples import Example
from clew.explain.explainers._written import written
from clew.firings import Firings
from clew.progress import Tell
from clew.readings.asking.asks import Asks
from clew.readings.asking.prose import Prose

MARK = "LABEL:"
TASK = f"""\
You name a part of a language model in one to six words. You are given what it fires on, in lists: tokens on which it fires \
most, the tokens that follow these, tokens that it makes more likely if they are known, and the texts, in which it fires on \
what is marked by << and >>.
Look for one thing that most entries of a list share, in this order. If the tokens that follow, and those made more likely, \
are alike, the label is "say" and what they are. Else, if those on which it fires are alike, the label is what they are. \
Else it is what the texts are about at the marks. A label is as exact as the lists allow; no full sentence, no full stop.
Answer with one line that begins with {MARK} and holds the label."""
SHOT = (
    Message(
        "user",
        'Fires on: " rain", " storm", " hail"\nFollowed by: " had", ",", "."\n\n'
        "Text 1: the <<rain>> had stopped by noon\nText 2: a <<storm>>, they said, and <<hail>>.",
    ),
    Message("assistant", f"{MARK} bad weather"),
)


def phrases(
    firings: Firings,
    units: Sequence[str],
    table: Table | None = None,
    *,
    asks: Asks,
    promoted: Mapping[str, Sequence[str]] | None = None,
    examples: int = 10,
    sides: bool = True,
    progress: Tell | None = None,
) -> Mapping[str, tuple[Prose, ...]]:
    """One to six words for each unit, and for each of two sides where a unit also fires below 0.

    Args:
        units: addresses, such as resid.7/12.
        table: predicates of the text of the firings, if they are at hand.
        asks: the language model that finds them, and reads them again for scorers.
        promoted: by address the tokens whose logits a unit raises, as `details["promotes"]` of `top_tokens` has them.
        examples: windows that are shown, at most, the strongest.
        sides: explain both; otherwise the one on which the unit sums to more.
        progress: told when all is done.

    Returns: by address; `Prose("")`, which is false, where nothing could be read in the answer.
    """
    how = {"mark": MARK, "examples": examples, "spread": False, "sides": sides, "progress": progress}
    return written(firings, units, table, asks, partial(_posed, promoted or {}), **how)


def _posed(promoted: Mapping[str, Sequence[str]], address: str, shown: Sequence[Example]) -> tuple[Message, ...]:
    lists = {
        "Fires on": [one.piece(one.strongest) for one in shown],
        "Followed by": [following for one in shown if (following := one.following())],
        "Makes more likely": list(promoted.get(address, ())),
    }
    quoted = {name: ", ".join(f'"{token}"' for token in tokens) for name, tokens in lists.items()}
    said = [f"{name}: {tokens}" for name, tokens in quoted.items() if tokens]
    texts = [f"Text {i}: {one}" for i, one in enumerate(shown, 1)]
    return (Message("system", TASK), *SHOT, Message("user", "\n".join([*said, "", *texts])))

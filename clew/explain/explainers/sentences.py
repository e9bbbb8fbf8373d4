"""Sentences: a language model is shown where a unit fires, with the tokens marked, and says what they have in common.

Source: Paulo et al. 2024, arXiv:2410.13928 (delphi's default), in our own words. Differs: examples are spread over all
strengths and come from documents that no scorer sees, which are held apart before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clew.data.predicates.table import Table
from clew.evidence import Message
from clew.explain.explainers._examples import Example
from clew.explain.explainers._written import written
from clew.firings import Firings
from clew.progress import Tell
from clew.readings.asking.asks import Asks
from clew.readings.asking.prose import Prose

MARK = "DESCRIPTION:"
TASK = f"""\
You study a part of a language model that fires on some tokens of a text and is silent on all others. You are shown short \
texts in which it fires. What it fires on most is marked by << and >>, and below each text every marked token is listed \
with how strongly the part fires there, from 1 to 10.
Find what the marked tokens have in common: what they are, or what they mean, or what stands before or after them. Name what \
holds in most of the texts, as exactly as you can and no wider than that, in one short sentence. Do not speak of marks, \
lists, or the part itself, and do not list examples of it.
End with one line that begins with {MARK} and holds that sentence."""
SHOT = (
    Message(
        "user",
        'Text 1: the <<rain>> had stopped by noon\nStrengths: (" rain": 9)\n\n'
        'Text 2: a <<storm>> was expected, with <<hail>>\nStrengths: (" storm": 10), (" hail": 7)',
    ),
    Message(
        "assistant", f"All marked tokens are nouns for weather that comes down or blows.\n{MARK} nouns for bad weather"
    ),
)


def sentences(
    firings: Firings,
    units: Sequence[str],
    table: Table | None = None,
    *,
    asks: Asks,
    examples: int = 20,
    sides: bool = True,
    progress: Tell | None = None,
) -> Mapping[str, tuple[Prose, ...]]:
    """A sentence for each unit, and one for each of two sides where a unit also fires below 0.

    Args:
        units: addresses, such as resid.7/12.
        table: predicates of the text of the firings, if they are at hand.
        asks: the language model that writes it, and reads it again for scorers.
        examples: windows that are shown, at most, over all strengths.
        sides: explain both; otherwise the one on which the unit sums to more.
        progress: told when all is done.

    Returns: by address; `Prose("")`, which is false, where nothing could be read in the answer.
    """
    how = {"mark": MARK, "examples": examples, "spread": True, "sides": sides, "progress": progress}
    return written(firings, units, table, asks, _posed, **how)


def _posed(address: str, shown: Sequence[Example]) -> tuple[Message, ...]:
    texts = [f"Text {i}: {one}\nStrengths: {one.activations()}" for i, one in enumerate(shown, 1)]
    return (Message("system", TASK), *SHOT, Message("user", "\n\n".join(texts)))

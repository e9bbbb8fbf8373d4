"""Pairs whose prompts are of two lengths in tokens, made to fit by one other word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clew.data.behaviours.pairs import Encoded, Misfit, Pair, encode
from clew.models.tokens import tokenised

LENGTHS = "clean and patch prompt differ in length"
"""The reason of the misfits that are repaired here."""


@dataclass(frozen=True)
class Mended:
    """Pairs of which some were repaired and some could not be."""

    pairs: tuple[Pair, ...]
    good: int = 0
    """How many were repaired."""
    refused: Mapping[int, Misfit] = field(default_factory=dict)
    """Why each of those does not fit that no word of another pair helps, by its index."""

    @property
    def example(self) -> str:
        """The first refusal, in words."""
        return next(iter(self.refused.values())).details


def repair(pairs: Sequence[Pair], split: int, model: Any) -> Mended:
    """Every pair of unequal token length repaired by another word of the same role, where that is safe.

    Where the words of the two prompts differ, the patch prompt takes the words that another pair of the same case and
    the same half has at that place, if there are such with as many tokens as the clean prompt has; where that does not
    help, the clean prompt takes other words. What is asked never changes. There are three ways to be sure of that:

    - the other pair has the same answers and patch answers (agreement), so its word may stand in;
    - the word is itself an answer, and all answers are words of the prompts (indirect objects): it becomes the new one
      in both prompts and in the answers alike, and the new one is not there yet;
    - nothing else differs from the other pair's prompt, and only that prompt has its answers (capitals): prompt and
      answers stand in together.

    Where none applies the pair is left out. Pairs that do not fit for another reason stay, for `bind` to judge.

    Args: split: how many of the pairs are the first half. model: a model or a tokenizer.
    """
    encoded = encode(model, pairs)
    broken = {i: e for i, e in enumerate(encoded) if isinstance(e, Misfit) and e.reason == LENGTHS}
    mended, refused = list(pairs), {}
    halves = [range(split), range(split, len(pairs))]
    for i, misfit in broken.items():
        mine, other = halves if i < split else halves[::-1]
        start = mine.index(i)
        donors = [pairs[j] for j in (*mine[start + 1 :], *mine[:start])]
        taken = {prompt for j in other for prompt in (mended[j].clean, mended[j].patch)}
        found = _repaired(model, pairs[i], donors, taken) if isinstance(pairs[i].clean, str) else None
        if found is None:
            refused[i] = misfit
        else:
            mended[i] = found
    return Mended(tuple(mended), len(broken) - len(refused), refused)


def _repaired(model: Any, pair: Pair, donors: Sequence[Pair], taken: set[Any]) -> Pair | None:
    """The first repair that fits, of the patch prompt if that goes, and makes no prompt of the other half."""
    for turn in (lambda p: p, _turned):
        for candidate in _candidates(model, turn(pair), [turn(d) for d in donors]):
            new = turn(candidate)
            if taken.isdisjoint({new.clean, new.patch} - {pair.clean, pair.patch}) and _fits(model, new):
                return new
    return None


def _turned(pair: Pair) -> Pair:
    """Clean and patch prompt with their places changed."""
    return Pair(str(pair.patch), pair.clean, pair.patch_answers, pair.answers, pair.case)


@dataclass(frozen=True)
class Difference:
    """One place where the words of two prompts differ."""

    before: str
    clean: str
    patch: str
    place: tuple[str, int, int]
    """The case and how many words stand before and after; in two pairs that share it, roles are taken to be the same."""


def _differences(pair: Pair) -> list[Difference]:
    """Where the prompts differ: word by word where they have as many words, else all from the first to the last."""
    clean, patch = (re.findall(r"\w+|\W+", str(text)) for text in (pair.clean, pair.patch))
    if len(clean) == len(patch):
        runs = [(i, i + 1) for i in range(len(clean)) if clean[i] != patch[i]]
    else:
        shorter = min(len(clean), len(patch))
        first = next((i for i in range(shorter) if clean[i] != patch[i]), shorter)
        last = next((i for i in range(shorter - first) if clean[-1 - i] != patch[-1 - i]), shorter - first)
        runs = [(first, len(patch) - last)]
    end = len(clean) - len(patch)
    return [
        Difference("".join(patch[:a]), "".join(clean[a : b + end]), "".join(patch[a:b]), (pair.case, a, len(patch) - b))
        for a, b in runs
    ]


def _candidates(model: Any, pair: Pair, donors: Sequence[Pair]) -> Iterator[Pair]:
    """Pairs that ask the same with another word in the patch prompt, where that word is to blame for the length."""
    clean, patch, seen = str(pair.clean), str(pair.patch), set()
    answers = [str(answer).strip() for answer in (*pair.answers, *pair.patch_answers)]
    named = all(_holds(clean, answer) or _holds(patch, answer) for answer in answers)
    for here in _differences(pair):
        length = _length(model, here.before + here.clean)
        if _length(model, here.before + here.patch) == length:
            continue
        for donor, there in ((d, there) for d in donors for there in _differences(d) if there.place == here.place):
            new = there.patch
            if (donor, new) in seen or not new.strip() or _length(model, here.before + new) != length:
                continue
            seen.add((donor, new))
            fresh = not any(_holds(text, new) for text in (clean, patch, *answers))
            asks_the_same = (donor.answers, donor.patch_answers) == (pair.answers, pair.patch_answers)
            if fresh and (named if here.patch in answers else asks_the_same):
                yield _renamed(pair, here.patch, new)
            elif not named and _only_differs(pair, here, donor) and _alone_has_its_answers(donor, (pair, *donors)):
                yield replace(pair, patch=donor.patch, patch_answers=donor.patch_answers)


def _only_differs(pair: Pair, here: Difference, donor: Pair) -> bool:
    """Whether the patch prompts of two pairs are the same but for that place."""
    after = str(pair.patch)[len(here.before + here.patch) :]
    return str(donor.patch).startswith(here.before) and str(donor.patch).endswith(after)


def _alone_has_its_answers(donor: Pair, pairs: Sequence[Pair]) -> bool:
    """Whether no other prompt has the answers of this pair's patch prompt, so that they must hang on its words."""
    asked = [ask for p in pairs for ask in ((p.clean, p.answers), (p.patch, p.patch_answers))]
    return {prompt for prompt, answers in asked if answers == donor.patch_answers} == {donor.patch}


def _renamed(pair: Pair, old: str, new: str) -> Pair:
    """The pair with one word for another wherever it stands, answers included."""
    word = re.compile(rf"(?<!\w){re.escape(old)}(?!\w)")
    texts = [word.sub(lambda _: new, str(text)) for text in (pair.clean, pair.patch)]
    answers = [tuple(word.sub(lambda _: new, str(a)) for a in some) for some in (pair.answers, pair.patch_answers)]
    return Pair(texts[0], texts[1], answers[0], answers[1], pair.case)


def _holds(text: str, word: str) -> bool:
    """Whether a word, or several in a row, stands in a text as such."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _fits(model: Any, pair: Pair) -> bool:
    """Whether a tokenizer can pose the pair, and its prompts stay side by side, token by token, at every difference."""
    (encoded,) = encode(model, [pair])
    return isinstance(encoded, Encoded) and all(
        _length(model, d.before + d.clean) == _length(model, d.before + d.patch) for d in _differences(pair)
    )


def _length(model: Any, text: str) -> int:
    """How many tokens a text has."""
    return len(tokenised(getattr(model, "tokenizer", model), [text])[0])

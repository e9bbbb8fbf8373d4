"""A pair of prompts, and batches of pairs as token ids."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.text.spaces import space_between
from clew.evidence import Given, Message, digest, groups, prompt_of
from clew.files import check_names
from clew.models.tokens import SHOWN, bare, in_words, text_of, tokenised
from clew.models.trace import Trace


class NoSpace(UserWarning):
    """An answer goes on in the last word of its prompt, though with a space before it it would be a word of its own."""


@dataclass(frozen=True)
class Pair:
    """A prompt that shows a behaviour and, if there is one, a prompt that shows its opposite.

    Prompts are text, chats (lists of messages {"role": ..., "content": ...}, kept as tuples), or token ids that are taken as
    they are; answers are text after words, and the ids of tokens after ids.
    """

    clean: Given
    patch: Given | None
    answers: str | tuple[str, ...] | tuple[int, ...]
    """What may follow `clean`, with its own leading space: prompt and answer are joined as they stand."""
    patch_answers: str | tuple[str, ...] | tuple[int, ...] = ()
    """What may follow `patch` and must not follow `clean`."""
    case: str = ""
    """A subset to report apart, such as "singular_plural"."""

    def __post_init__(self) -> None:
        for name in ("answers", "patch_answers"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))
        for name in ("clean", "patch"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, prompt_of(getattr(self, name), f"the {name} prompt"))
        words = in_words(self.clean)
        if self.patch is not None and in_words(self.patch) != words:
            raise ValueError(f"one prompt of a pair is words and the other token ids: {self.clean!r}, {self.patch!r}")
        for name in ("answers", "patch_answers"):
            given = getattr(self, name)
            if words and (numbers := [answer for answer in given if not isinstance(answer, str)]):
                raise ValueError(f"{name} after a prompt in words are text; {numbers[0]!r:.80} is none")
            object.__setattr__(self, name, tuple(given) if words else prompt_of(given, f"{name} after token ids"))

    @classmethod
    def of(cls, given: Pair | Sequence[Any] | Mapping[str, Any]) -> Pair:
        """A pair as it is; or of its fields in their order, or by their names.

        Raises: ValueError for what is no pair, naming the fields.

        >>> Pair.of(("The keys", "The key", " are", " is")) == Pair.of({"clean": "The keys", "patch": "The key",
        ...     "answers": " are", "patch_answers": " is"})
        True
        """
        if isinstance(given, Pair):
            return given
        names = [one.name for one in fields(cls)]
        few = "clean, patch (or None) and answers, then patch_answers and case"
        if isinstance(given, Mapping):
            check_names(given, names, f"the pair {dict(given)!r:.80}")
            held: dict[str, Any] = {"patch": None, **given}
        elif not isinstance(given, list | tuple) or not 3 <= len(given) <= len(names):
            raise ValueError(f"{given!r:.80} is no pair; a pair has {few}")
        else:
            held = dict(zip(names, given, strict=False))
        if missing := [name for name in names[:3] if name not in held]:
            raise ValueError(f"the pair {held!r:.80} has no {' and no '.join(missing)}; a pair has {few}")
        for name in ("answers", "patch_answers"):
            if isinstance(held.get(name), list):
                held[name] = tuple(held[name])
        return cls(**held)

    def plain(self) -> dict[str, Any]:
        """The prompts with their answers, as plain JSON."""
        given = {"clean": self.clean, "patch": self.patch, "answers": self.answers, "patch_answers": self.patch_answers}
        return {name: part if part is None or isinstance(part, str) else _plain(part) for name, part in given.items()}


if TYPE_CHECKING:
    Pairs = tuple[Pair, ...]
else:
    Pairs = Sequence[Pair | Sequence[Any] | Mapping[str, Any]]
    """What a behaviour is given; it keeps pairs."""


def _plain(parts: Sequence[Any]) -> list[Any]:
    """A list, of messages of a chat as they are given."""
    return [part._asdict() if isinstance(part, Message) else part for part in parts]


@dataclass(frozen=True, eq=False)
class Batch:
    """Pairs of one token length; nothing is padded, so the answer is always read at position -1."""

    clean: Int[Tensor, "batch seq"]
    patch: Int[Tensor, "batch seq"] | None
    answers: Int[Tensor, "batch answer"]
    """Ids of the single-token answers; -1 fills up the smaller sets."""
    patch_answers: Int[Tensor, "batch patch_answer"] | None
    index: tuple[int, ...]
    """Which pairs of the behaviour these are."""
    pairs: tuple[Pair, ...]
    reference: Float[Tensor, "batch vocab"] | None = None
    """Logits of the unedited model after `clean`, for metrics that ask for them (`kl_divergence`)."""
    peers: Int[Tensor, "peer seq"] | None = None
    """The patch prompts (clean ones where there are none) of all pairs of this length, of other batches too; each once."""
    place: tuple[int, ...] = ()
    """Where each of these stands among its peers."""
    first: int = 0
    """Which pair of the behaviour the first of the peers is."""

    def __len__(self) -> int:
        return len(self.pairs)

    def repeat(self, copies: int) -> Batch:
        """The whole batch `copies` times over, one copy after the other."""
        tensors = {
            name: value.repeat(copies, 1)
            for name in ("clean", "patch", "answers", "patch_answers", "reference")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **tensors, index=self.index * copies, pairs=self.pairs * copies, place=self.place * copies)


@runtime_checkable
class Runnable(Protocol):
    """The part of a model that data needs; `clew.Model` is one."""

    @property
    def device(self) -> torch.device: ...

    def run(self, tokens: Int[Tensor, "batch seq"], *, logits: int | None = None) -> Trace: ...


@dataclass(frozen=True)
class Encoded:
    """A pair as token ids."""

    clean: list[int]
    patch: list[int] | None
    answers: list[int]
    patch_answers: list[int]


@dataclass(frozen=True)
class Misfit:
    """Why a tokenizer cannot pose a pair."""

    reason: str
    """The same words for every pair with this trouble."""
    details: str
    """This pair, and its tokens."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.details}"


def encode(model: Any, pairs: Sequence[Pair]) -> list[Encoded | Misfit]:
    """Every pair in tokens, see `clew.models.tokens`.

    An answer is the one token by which prompt + answer is longer than the prompt. So " has" needs its space where
    words carry one, and a digit that would fuse with the digits before it is no answer. Warns of answers that lack it.
    In a prompt that holds the tokenizer's mask token, an answer is the one token that stands there when the mask is
    replaced by it; for a model that answers with a class, it is the name of one; for one with an encoder and a decoder, the
    one token that the answer is by itself, which its decoder writes first.

    Args: model: a model or a tokenizer.
    """
    in_ids = [not in_words(pair.clean) for pair in pairs]
    tokenizer = None if all(in_ids) else getattr(model, "tokenizer", model)
    body = getattr(model, "body", None)
    classes: tuple[str, ...] = getattr(body, "classes", ())
    words = [_rendered(tokenizer, pair) for pair, ids in zip(pairs, in_ids, strict=True) if not ids]
    texts = {str(t) for p in words for t in (p.clean, p.patch) if t is not None}
    parted = body is not None and body.inputs.parted
    if not classes and not parted:
        texts |= {_filled(tokenizer, p.clean, a) for p in words for a in (*p.answers, *p.patch_answers)}
    ordered = sorted(texts)
    table = dict(zip(ordered, tokenised(tokenizer, ordered), strict=True))
    told = _Answers(tokenizer, table, classes, parted)
    posed = [_encode(told, pair) for pair in words]
    if not classes and not parted:
        ends = [(p, e) for p, e in zip(words, posed, strict=True) if not _masked(tokenizer, p.clean)]
        _warn_of_spaces(tokenizer, [p for p, e in ends if isinstance(e, Encoded)], table)
    each = iter(posed)
    found = [_as_they_are(pair, body) if ids else next(each) for pair, ids in zip(pairs, in_ids, strict=True)]
    return [_framed(body, one) if parted and isinstance(one, Encoded) else one for one in found]


def _framed(body: Any, pair: Encoded) -> Encoded:
    """The same with what a decoder begins with, where its prompts do not say."""
    framed = body.inputs.framed
    return replace(pair, clean=framed(pair.clean), patch=None if pair.patch is None else framed(pair.patch))


def _masked(tokenizer: Any, prompt: Given) -> bool:
    """Whether an answer stands in the place of a mask, and not after the prompt."""
    mask = getattr(tokenizer, "mask_token", None)
    return bool(mask) and str(mask) in str(prompt)


def _filled(tokenizer: Any, prompt: Given, answer: object) -> str:
    """The text of a prompt with its answer."""
    if _masked(tokenizer, prompt):
        return str(prompt).replace(str(tokenizer.mask_token), str(answer))
    return f"{prompt}{answer}"


def _rendered(tokenizer: Any, pair: Pair) -> Pair:
    """The pair with its chats as text."""
    clean, patch = (None if p is None else text_of(tokenizer, p) for p in (pair.clean, pair.patch))
    return replace(pair, clean=clean, patch=patch)


def _warn_of_spaces(tokenizer: Any, pairs: Sequence[Pair], table: Mapping[str, list[int]]) -> None:
    """Warn of answers that go on in the last word of their prompt, where with a space they would be one token too."""
    special = tokenizer.all_special_tokens if pairs else ()
    answers = [(str(pair.clean), str(answer)) for pair in pairs for answer in pair.answers]
    glued = [(p, a) for p, a in answers if a[:1].isalpha() and space_between(p, a, special)]
    apart = tokenised(tokenizer, [f"{prompt} {answer}" for prompt, answer in glued])
    lacking = [(p, a) for (p, a), ids in zip(glued, apart, strict=True) if ids[:-1] == table[p]]
    if lacking:
        prompt, answer = lacking[0]
        warnings.warn(
            f"{len(lacking)} of {len(answers)} answers go on in the last word of their prompt, such as {answer!r} after "
            f"{prompt!r}; where a new word is meant, give {' ' + answer!r}",
            NoSpace,
            stacklevel=3,
        )


def _as_they_are(pair: Pair, body: Any) -> Encoded | Misfit:
    """A pair that is given in token ids. Args: body: of the model, which knows so many tokens, where there is a model."""
    clean, patch = list(pair.clean), None if pair.patch is None else list(pair.patch)
    if clean == patch:
        return Misfit("clean and patch prompt are equal", repr(pair.clean))
    if patch is not None and len(clean) != len(patch):
        return Misfit(
            "clean and patch prompt differ in length", f"{clean} has {len(clean)} tokens, {patch} has {len(patch)}"
        )
    found = Encoded(clean, patch, list(pair.answers), list(pair.patch_answers))  # type: ignore[arg-type]
    if body is None:
        return found
    largest = max((i for i in map(int, (*clean, *(patch or ()))) if i < SHOWN), default=-1)
    if largest >= body.vocabulary:
        return Misfit(
            "a token id is not one of the model's", f"{largest} in {clean}; they are 0 to {body.vocabulary - 1}"
        )
    answer = max(map(int, (*found.answers, *found.patch_answers)), default=-1)
    if answer >= body.n_answers:
        what = "class" if body.classes else "token id"
        return Misfit(
            f"an answer is not a {what} of the model", f"{answer} of {clean}; they are 0 to {body.n_answers - 1}"
        )
    return found


@dataclass(frozen=True)
class _Answers:
    """How answers in words are told."""

    tokenizer: Any
    ids: Mapping[str, list[int]]
    """Of every text, its tokens."""
    classes: tuple[str, ...]
    parted: bool

    def of(self, pair: Pair, answer: object) -> int | Misfit:
        """The one token, or class, that an answer is."""
        if self.classes:
            return _class_of(pair, answer, self.classes)
        if not self.parted:
            return _answer(self.tokenizer, pair, answer, self.ids)
        own = bare(self.tokenizer, str(answer))
        shown = self.tokenizer.convert_ids_to_tokens(own)
        return own[0] if len(own) == 1 else Misfit("an answer is not one token", f"{answer!r} is {shown}")


def _encode(told: _Answers, pair: Pair) -> Encoded | Misfit:
    ids, show = told.ids, told.tokenizer.convert_ids_to_tokens
    clean, patch = ids[str(pair.clean)], None if pair.patch is None else ids[str(pair.patch)]
    if pair.clean == pair.patch:
        return Misfit("clean and patch prompt are equal", repr(pair.clean))
    if patch is not None and len(clean) != len(patch):
        return Misfit(
            "clean and patch prompt differ in length",
            f"{pair.clean!r} has {len(clean)} tokens {show(clean)}, {pair.patch!r} has {len(patch)} {show(patch)}",
        )
    found: list[int] = []
    for answer in (*pair.answers, *pair.patch_answers):
        one = told.of(pair, answer)
        if isinstance(one, Misfit):
            return one
        found.append(one)
    answers, patch_answers = found[: len(pair.answers)], found[len(pair.answers) :]
    if not answers:
        return Misfit("a pair has no answer", repr(pair.clean))
    if set(answers) & set(patch_answers):
        return Misfit(
            "an answer is also a patch answer",
            f"{show(sorted(set(answers) & set(patch_answers))) if not told.classes else pair.answers} after {pair.clean!r}",
        )
    return Encoded(clean, patch, answers, patch_answers)


def _class_of(pair: Pair, answer: object, classes: tuple[str, ...]) -> int | Misfit:
    """Which class an answer names."""
    if answer not in classes:
        return Misfit(
            "an answer is not a class of the model", f"{answer!r} of {pair.clean!r}; they are {', '.join(classes)}"
        )
    return classes.index(str(answer))


def _answer(tokenizer: Any, pair: Pair, answer: object, ids: Mapping[str, list[int]]) -> int | Misfit:
    """The one token that an answer is, after its prompt or in the place of the prompt's mask."""
    clean, whole = ids[str(pair.clean)], ids[_filled(tokenizer, pair.clean, answer)]
    show = tokenizer.convert_ids_to_tokens
    if _masked(tokenizer, pair.clean):
        at = [i for i, token in enumerate(clean) if token == tokenizer.mask_token_id]
        if len(at) == 1 and [*whole[: at[0]], *clean[at[0] : at[0] + 1], *whole[at[0] + 1 :]] == clean:
            return whole[at[0]]
        return Misfit(
            "an answer is not one token", f"{answer!r} in the place of the mask of {pair.clean!r} gives {show(whole)}"
        )
    if whole[:-1] == clean:
        return whole[-1]
    kept, after = whole[: len(clean)] == clean, show(whole[len(clean) :])
    return Misfit(
        "an answer is not one token",
        f"{answer!r} after {pair.clean!r} is " + (f"{after}" if kept else f"fused into {show(whole)}"),
    )


def stack(rows: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "row longest"]:
    """Lists of ids as one tensor; -1 fills up the shorter ones."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows], dtype=torch.long, device=device)


def grouped(pairs: Sequence[Pair]) -> tuple[tuple[Pair, ...], int]:
    """(pairs, split) for two halves that share no prompts.

    A pair and its reverse, or the same prompts with other answers, stand on the same side. The split is the border
    between such groups that is nearest to the middle.
    """
    together: dict[frozenset[object], list[Pair]] = {}
    for pair in pairs:
        together.setdefault(frozenset((pair.clean, pair.patch)), []).append(pair)
    borders = list(accumulate(map(len, together.values())))[:-1]
    split = min(borders, key=lambda border: abs(2 * border - len(pairs)), default=len(pairs) // 2)
    return tuple(chain.from_iterable(together.values())), split


def apart(pairs: Sequence[Pair], split: int) -> tuple[tuple[Pair, ...], int]:
    """(pairs, split) as they are, unless a clean prompt after the split also stands before it: then grouped by prompts.

    Groups keep their order, and the split moves to the border between them that is nearest. Pairs that all hang
    together stay as they are.
    """
    seen = {prompt for pair in pairs[:split] for prompt in (pair.clean, pair.patch)}
    if seen.isdisjoint(pair.clean for pair in pairs[split:]):
        return tuple(pairs), split
    cleans = {pair.clean for pair in pairs}
    keys = [[digest(p) for p in (pair.clean, pair.patch) if p in cleans] for pair in pairs]
    together: dict[int, list[Pair]] = {}
    for group, pair in zip(groups(keys), pairs, strict=True):
        together.setdefault(group, []).append(pair)
    borders = list(accumulate(map(len, together.values())))[:-1]
    nearest = min(borders, key=lambda border: abs(border - split), default=None)
    return (tuple(pairs), split) if nearest is None else (tuple(chain.from_iterable(together.values())), nearest)


@dataclass(frozen=True)
class Example:
    """A prompt in token ids with what shall follow it; several answers, or rivals, are one token each."""

    ids: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    rivals: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, pair: Encoded) -> Example:
        """A pair's clean prompt with its answers and, as rivals, its patch answers."""
        answers, rivals = (tuple((i,) for i in ids) for ids in (pair.answers, pair.patch_answers))
        return cls(tuple(pair.clean), answers, rivals)

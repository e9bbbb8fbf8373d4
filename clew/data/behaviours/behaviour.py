"""A behaviour: pairs of prompts, a metric that says how much of it is there, and two fixed halves."""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from clew import finder
from clew.data.behaviours.files import FORMATS, read
from clew.data.behaviours.metrics import (
    Metric,
    Needs,
    last_logits,
    logit_difference,
    measured,
    metric_named,
    name_of,
    needs,
    probability_difference,
)
from clew.data.behaviours.pairs import Batch as Batch
from clew.data.behaviours.pairs import Encoded, Example, Misfit, Pairs, Runnable, apart, encode, stack
from clew.data.behaviours.pairs import Pair as Pair
from clew.data.behaviours.repair import LENGTHS, repair
from clew.data.text.lists import TwoSides
from clew.evidence import Prompt
from clew.files import jsonable
from clew.models import Model
from clew.models.tokens import by_length
from clew.models.trace import Trace
from clew.near import near

STEPS = ("bind", "filter", "first", "of_length", "repaired", "shuffled", "test", "train", "without_patches")
WITH_MODEL = ("bind", "filter", "of_length", "repaired", "shuffled")
"""Those steps that ask the model or its tokenizer."""
Step = tuple[str, dict[str, Any]]
"""A method of Behaviour and its options as plain JSON; a model is not among them."""


@dataclass(frozen=True)
class Behaviour:
    """What is asked of a model. Circuits are found on `train` and judged on `test`."""

    splits: ClassVar[bool] = True
    running: ClassVar[bool] = False
    shows_edits: ClassVar[str] = "steering_effect"

    name: str
    pairs: Pairs
    """Also given as lists or dictionaries of what a `Pair` holds."""
    metric: Metric = logit_difference
    aligned: bool = False
    """A template: in all pairs of one token length, a position means the same."""
    split: int | None = None
    """The first `split` pairs are the training half. When None about half of them, and pairs with equal prompts are brought
    on one side: then the others keep their order, but those pairs move together."""
    part: Literal["all", "train", "test"] = "all"
    description: str = ""
    source: str = ""
    """The file it was read from; empty if it was made here."""
    seed: int | None = None
    dropped: int = 0
    """How many pairs fell out on the way here."""
    note: str = ""
    """How many fell out and why, in words."""
    made: tuple[Step, ...] = field(default=(), compare=False)
    """How it was come by, from `load` on; empty for pairs that were given. `again` goes the same way."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", tuple(map(Pair.of, self.pairs)))
        if not self.pairs:
            raise ValueError(f"{self.name} has no pairs left. {self.note}".strip())
        if self.split is None:
            pairs, split = apart(self.pairs, len(self.pairs) // 2)
            object.__setattr__(self, "pairs", pairs)
            object.__setattr__(self, "split", split)
        for what, have in (
            ("patch prompts", {p.patch is not None for p in self.pairs}),
            ("patch answers", {bool(p.patch_answers) for p in self.pairs}),
        ):
            if len(have) > 1:
                raise ValueError(f"some pairs of {self.name} have {what} and some have none; make them two behaviours")
        if not self.pairs[0].patch_answers and self.metric in (logit_difference, probability_difference):
            raise ValueError(
                f"{self.name} has no patch answers, which {name_of(self.metric)} needs; give metric=answer_logit or "
                "metric=log_probability"
            )

    # Where it comes from.

    @classmethod
    def load(cls, name: str | Path, *, model: Any = None, **options: Any) -> Behaviour:
        """A behaviour of ours by name ("agreement/across_rc"), or one of a file by path or hf://datasets/... address.

        Args:
            name: see `Behaviour.available()`, or clew/data/formats/behaviours for the files that can be read; or
                planted/induction, planted/ioi, those of the models whose circuits are known (clew/data/planted).
            model: a model or a tokenizer; only pairs that it can pose are then kept, and counted in `dropped`.
            options: `n` (how many pairs at most), `seed`, and those of the family or format.

        Raises: ValueError naming near names; for a file, what was expected and what was found.
        """
        step: Step = ("load", {"name": str(name), **options})
        return replace(cls._loaded(str(name), model, options), made=(step,))

    @classmethod
    def _loaded(cls, name: str, model: Any, options: dict[str, Any]) -> Behaviour:
        if name.startswith("hf://") or Path(name).suffix in (".json", ".jsonl", ".csv", ".tsv") or Path(name).is_file():
            return read(name, model=model, **options)
        family, _, variant = name.partition("/")
        if family == "planted":
            posed: Behaviour = finder.load("data.planted", variant)(**options).behaviour
            return posed if model is None else posed.bind(model)
        if Path(name).is_dir() and family not in finder.names("data.readers"):
            raise ValueError(
                f"{name} is a folder; a behaviour is a file of prompts, or one of clew's by name (clew behaviours)"
            )
        make = finder.load("data.readers", family)
        variants = variants_of(make)
        if variant.replace("-", "_") not in variants:
            known = ", ".join(f"{family}/{v}" if v else family for v in variants)
            raise ValueError(f"{name!r} is not a behaviour; the family {family!r} has {known}")
        return make(variant.replace("-", "_"), model=model, **options)

    @classmethod
    def again(cls, made: Sequence[Sequence[Any]], model: Any) -> Behaviour:
        """The behaviour that these steps lead to, as `made` holds them; its hash tells whether it is the same.

        Args: model: a model, or a tokenizer where none of the steps asks one.
        Raises: ValueError for steps that do not begin with `load`, or a step that there is not.
        """
        if not made or made[0][0] != "load":
            raise ValueError("its pairs were given, and not loaded, so they cannot be come by again")
        found = cls.load(**made[0][1], model=model)
        for name, options in made[1:]:
            if name not in STEPS:
                raise ValueError(f"there is no step {name!r} of a behaviour; {near(name, STEPS)}")
            step = getattr(found, name)
            found = step if isinstance(step, Behaviour) else step(*[model] * (name in WITH_MODEL), **options)
        return found

    def _after(self, new: Behaviour, step: str, **options: Any) -> Behaviour:
        """What a step has made of this behaviour, with the step written down."""
        return replace(new, made=(*self.made, (step, options)) if self.made else ())

    def save(self, path: str | Path) -> Path:
        """Write one JSON file, of which `Behaviour.load` gives back the same pairs, halves and metric, so the same `hash`.

        Raises: ValueError for a path that does not end in .json, or a metric that is none of clew's.
        """
        finder.writing(FORMATS, "clew").write(self, Path(path))
        return Path(path)

    @staticmethod
    def available() -> dict[str, str]:
        """Every behaviour that can be loaded by name, with a line about it; none is made."""
        families = {family: variants_of(make) for family, make in finder.functions("data.readers").items()}
        return {f"{f}/{v}" if v else f: line for f, variants in families.items() for v, line in variants.items()}

    @property
    def hash(self) -> str:
        """Of the pairs and the metric's name: equal hashes ask the same."""
        content = json.dumps([name_of(self.metric), [asdict(p) for p in self.pairs]])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def provenance(self) -> dict[str, Any]:
        """What a stranger needs to ask the same again, as plain JSON."""
        names = ("name", "hash", "part", "split", "seed", "source", "dropped", "note")
        more = {"pairs": len(self.pairs), "metric": name_of(self.metric), "example": self.pairs[0].plain()}
        made = [[step, jsonable(options)] for step, options in self.made]
        return {n: getattr(self, n) for n in names} | more | {"made": made}

    def card(self) -> dict[str, Any]:
        """See `Evidence.card`."""
        return {"behaviour": self.name, "prompts": self.provenance}

    def prompts(self) -> list[Prompt]:
        """Clean and patch prompts."""
        return [cast("Prompt", p) for pair in self.pairs for p in (pair.clean, pair.patch) if p is not None]

    def asked(self) -> list[Prompt]:
        """The clean prompts."""
        return [cast("Prompt", pair.clean) for pair in self.pairs]

    @property
    def distinct(self) -> int:
        """How many different clean prompts there are: copies of one tell no more than one."""
        return len(set(self.asked()))

    # What edits take of it.

    def two_sides(self, labelling: str | None = None, positive: str | None = None) -> TwoSides:
        """The clean prompts, which are wanted, and the patch prompts."""
        patches = tuple(p.patch for p in self.pairs if p.patch is not None)
        return TwoSides(tuple(self.asked()), patches, self.name, self.hash, paired=True)

    def examples(self, tokenizer: Any) -> list[Example]:
        """The clean prompts with their answers and, as rivals, the patch answers.

        Raises: ValueError for a pair that cannot be posed.
        """
        return [Example.of(encoded) for encoded in self._encoded(tokenizer)]

    # Parts of it.

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        part = "" if self.part == "all" else f", {self.part} half"
        return f"Behaviour({self.name}, {len(self)} pairs{part}, {name_of(self.metric)})"

    @property
    def train(self) -> Behaviour:
        """The half to find circuits on."""
        return self._half("train")

    @property
    def test(self) -> Behaviour:
        """The other half, to judge them on."""
        return self._half("test")

    def _half(self, part: Literal["train", "test"]) -> Behaviour:
        if self.part == part:
            return self
        if self.part != "all":
            raise ValueError(f"this is the {self.part} half of {self.name}; its {part} half is in the whole behaviour")
        pairs = self.pairs[: self.split] if part == "train" else self.pairs[self.split :]
        if not pairs:
            raise ValueError(f"the {part} half of {self.name} is empty: {len(self)} pairs, split at {self.split}")
        new = replace(self, pairs=pairs, split=len(pairs) if part == "train" else 0, part=part)
        return self._after(new, part)

    def first(self, n: int) -> Behaviour:
        """At most n pairs: the first of both halves, in proportion."""
        if n >= len(self):
            return self
        assert self.split is not None
        train = round(n * self.split / len(self))
        return self._after(self._keep([*range(train), *range(self.split, self.split + n - train)]), "first", n=n)

    def with_metric(self, metric: Metric | str) -> Behaviour:
        """The same pairs, measured otherwise: by a function, or one of clew.data.behaviours.metrics by name."""
        return replace(self, metric=metric if callable(metric) else metric_named(metric))

    def _keep(self, index: Sequence[int], why: str = "") -> Behaviour:
        """The pairs at `index` (ascending); the others fall out, and are counted if `why` says why."""
        assert self.split is not None
        lost = len(self) - len(index)
        note, dropped = self.note, self.dropped
        if why and lost:
            note = f"{note} {lost} of {len(self)} pairs fell out: {why}.".strip()
            dropped += lost
        pairs, split = tuple(self.pairs[i] for i in index), sum(i < self.split for i in index)
        if not pairs:
            raise ValueError(f"no pair of {self.name} is left. {note}")
        return replace(self, pairs=pairs, split=split, note=note, dropped=dropped)

    # With a model.

    def bind(self, model: Any) -> Behaviour:
        """The pairs that this model's tokenizer can pose: prompts of equal length, single-token answers.

        Of an aligned behaviour only the pairs of the length that most have stay. What falls out is counted in `dropped`, and
        `note` says why.

        Args: model: a model or a tokenizer.
        Raises: ValueError showing the tokens of one pair if none is left.
        """
        encoded = encode(model, self.pairs)
        reasons = Counter(e.reason for e in encoded if isinstance(e, Misfit))
        why = ", ".join(f"{reason} ({count})" for reason, count in reasons.items())
        if sum(reasons.values()) == len(self):
            raise ValueError(f"this tokenizer can pose no pair of {self.name}, for example because {encoded[0]}")
        bound = self._keep([i for i, e in enumerate(encoded) if isinstance(e, Encoded)], why)
        return self._after(bound.of_length(model) if self.aligned else bound, "bind")

    def repaired(self, model: Any) -> Behaviour:
        """Pairs of unequal token length made to fit by one other word, where that is safe; see `clew.data.behaviours.repair`.

        Args: model: a model or a tokenizer.
        Returns: the same behaviour if nothing was to be done. Otherwise `note` counts what was repaired and what fell
            out, with the tokens and lengths of the first, and `dropped` goes up by the latter.
        Raises: ValueError with that note if no pair is left.
        """
        mended = repair(self.pairs, self.split or 0, model)
        if not (mended.good or mended.refused):
            return self
        said = f"In {mended.good} of {len(self)} pairs one word was changed to make both prompts as long."
        new = replace(self, pairs=mended.pairs, note=f"{self.note} {said if mended.good else ''}".strip())
        if not mended.refused:
            return self._after(new, "repaired")
        kept = sorted(set(range(len(self))) - mended.refused.keys())
        left = new._keep(kept, f"{LENGTHS} and no word of another pair helps, as in {mended.example}")
        return self._after(left, "repaired")

    def of_length(self, model: Any, length: int | None = None) -> Behaviour:
        """The pairs whose prompts have `length` tokens; by default the length that most have, the shorter of equals.

        Raises: ValueError listing the lengths there are.
        """
        lengths = [len(e.clean) for e in self._encoded(model)]
        wanted = Counter(sorted(lengths)).most_common(1)[0][0] if length is None else length
        if wanted not in lengths:
            raise ValueError(f"no prompt of {self.name} has {wanted} tokens; there are {sorted(set(lengths))}")
        kept = self._keep([i for i, n in enumerate(lengths) if n == wanted], f"prompts are not {wanted} tokens long")
        return self._after(kept, "of_length", length=wanted)

    def _encoded(self, model: Any) -> list[Encoded]:
        """All pairs in tokens. Raises: ValueError naming the first pair that cannot be posed."""
        good: list[Encoded] = []
        for i, e in enumerate(encode(model, self.pairs)):
            if isinstance(e, Misfit):
                raise ValueError(f"pair {i} of {self.name}: {e}. behaviour.bind(model) leaves such pairs out")
            good.append(e)
        return good

    def batches(self, model: Runnable, *, tokens: int = 4096) -> Iterator[Batch]:
        """The pairs as token ids, each batch of one token length, at most `tokens` ids of clean prompts (but one row).

        For a metric that compares with the unedited model (`kl_divergence`) the model is run once on each batch.

        Raises: ValueError naming a pair whose prompts differ in length or are equal, or whose answer is not one token.
        """
        encoded = self._encoded(model)
        for length, index in by_length([e.clean for e in encoded]):
            rows = max(1, tokens // length)
            for start in range(0, len(index), rows):
                yield self._batch(model, encoded, index, range(start, min(start + rows, len(index))))

    def _batch(self, model: Runnable, encoded: Sequence[Encoded], group: list[int], place: range) -> Batch:
        index = [group[i] for i in place]
        rows, pairs, device = [encoded[i] for i in index], tuple(self.pairs[i] for i in index), model.device
        others = [tuple(encoded[i].patch or encoded[i].clean) for i in group]
        peers = {prompt: at for at, prompt in enumerate(dict.fromkeys(others))}
        batch = Batch(
            clean=stack([r.clean for r in rows], device),
            patch=None if pairs[0].patch is None else stack([r.patch or [] for r in rows], device),
            answers=stack([r.answers for r in rows], device),
            patch_answers=stack([r.patch_answers for r in rows], device) if pairs[0].patch_answers else None,
            index=tuple(index),
            pairs=pairs,
            peers=stack(list(peers), device),
            place=tuple(peers[others[i]] for i in place),
            first=group[0],
        )
        if not self.needs.reference:
            return batch
        with torch.no_grad():
            plain = replace(model, edits=()) if isinstance(model, Model) else model
            return replace(batch, reference=last_logits(plain.run(batch.clean, logits=1)))

    def measured(self, trace: Trace, batch: Batch) -> Float[Tensor, " example"]:
        """The metric of each example of a run. Raises: ValueError for what is not one finite number each."""
        return measured(self.metric, trace, batch)

    @property
    def needs(self) -> Needs:
        """What a run must give the metric."""
        return needs(self.metric)

    def filter(self, model: Runnable, *, tokens: int = 4096) -> Behaviour:
        """The pairs that the model gets right: logit difference above 0, or, without patch answers, an answer on top.

        A pair falls out with its reverse, the same question the other way round, so that none is left on one side alone.
        """
        right: set[int] = set()
        for batch in self.batches(model, tokens=tokens):
            with torch.no_grad():
                trace = model.run(batch.clean, logits=1)
                if batch.patch_answers is not None:
                    good = logit_difference(trace, batch) > 0
                else:
                    good = (last_logits(trace).argmax(-1, keepdim=True) == batch.answers).any(-1)
            right |= {i for i, ok in zip(batch.index, cast("list[bool]", good.tolist()), strict=True) if ok}
        wrong = {_either_way(pair) for i, pair in enumerate(self.pairs) if i not in right}
        kept = [i for i in sorted(right) if _either_way(self.pairs[i]) not in wrong]
        more = " and their reverse" if len(kept) < len(right) else ""
        return self._after(self._keep(kept, f"the model does not answer them{more} right"), "filter")

    # Baselines.

    @property
    def baseline(self) -> Literal["patch", "zero"]:
        """What stands for "otherwise": the patch prompts, or zero where there are none."""
        return "zero" if self.pairs[0].patch is None else "patch"

    def without_patches(self) -> Behaviour:
        """The same questions without patch prompts: methods then ablate to zero, a mean, or other examples."""
        new = replace(self, pairs=tuple(replace(p, patch=None) for p in self.pairs))
        return self._after(new, "without_patches")

    def shuffled(self, model: Any, *, seed: int = 0) -> Behaviour:
        """Each clean prompt with the patch prompt (or, where there are none, the clean one) of another pair.

        The other is drawn from the same half and the same token length; pairs without such another fall out.

        Args: model: a model or a tokenizer, to tell lengths.
        """
        rng = random.Random(seed)
        chosen: dict[int, Pair] = {}
        assert self.split is not None
        lengths = [(len(e.clean), i < self.split) for i, e in enumerate(self._encoded(model))]
        prompts = [p.clean if p.patch is None else p.patch for p in self.pairs]
        groups: dict[tuple[int, bool], list[int]] = {}
        for i, key in enumerate(lengths):
            groups.setdefault(key, []).append(i)
        for i, (pair, key) in enumerate(zip(self.pairs, lengths, strict=True)):
            others = [j for j in groups[key] if j != i and prompts[j] != pair.clean]
            if others:
                chosen[i] = replace(pair, patch=prompts[rng.choice(others)])
        kept = self._keep(list(chosen), "no other pair of their token length")
        return self._after(replace(kept, pairs=tuple(chosen.values()), seed=seed), "shuffled", seed=seed)


def _either_way(pair: Pair) -> frozenset[object]:
    """What a pair has in common with its reverse."""
    return frozenset(((pair.clean, pair.answers), (pair.patch, pair.patch_answers)))


def variants_of(make: Any) -> dict[str, str]:
    """The variants of a family of behaviours, from the file of its function; {"": its first line} if it lists none."""
    first_line = (make.__doc__ or "").strip().partition("\n")[0]
    return getattr(sys.modules[make.__module__], "VARIANTS", {"": first_line})

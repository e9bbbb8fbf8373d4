"""The experiment of SHIFT: a probe that may use the wrong thing, and ten ways to do something about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

import clew
from clew.changes import Edit
from clew.circuits.circuit import ERROR, Circuit
from clew.circuits.verdicts import Verdicts
from clew.data.labels.confounded import Confounded
from clew.dictionaries import Dictionary
from clew.edits.components.shift import shift
from clew.explain.top_tokens import top_tokens
from clew.measures.edits.group_accuracy import accuracies
from clew.models import Model
from clew.probing import Pool, Probe
from clew.readings.probe import asks, learn, pooled
from clew.report import Report, Row
from clew.studies.shift.bottleneck import concepts, nearness

Decide = Callable[[Circuit], Verdicts]
Answer = tuple[np.ndarray, int | None]
"""[text] is each text of the test half said to be of the second class; and how many units were held at zero."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """One probe, its circuits in features and in neurons, and the verdicts on both.

    >>> from itertools import product
    >>> from clew.data.labels.labelled import Labelled
    >>> count = "one two three four five".split()
    >>> rows = list(product(["The"], ["girl", "king"], ["sold", "rained"], count, count))
    >>> _, who, what, *_ = zip(*rows)
    >>> labelled = Labelled("people", tuple(map(" ".join, rows)), {"gender": who, "profession": what})
    >>> texts = Confounded.of(labelled, {"sold": "girl", "rained": "king"})
    >>> shifted = Experiment(model, [sae], texts, "resid.2", by_words({"girl", "king"}), steps=2)
    >>> print(shifted.judged["features"][1])
    8 dropped, 26 kept, 0 open
    >>> print(shifted.report())
    SHIFT: profession read at resid.2 of ..., learnt where sold with girl and rained with king always go together
      profession accuracy original              0.500  [0.500, 0.500]  n=40
      gender accuracy original                  1.000  [1.000, 1.000]  n=40
      ...
    """

    model: Model
    """Plain."""
    dictionaries: Sequence[Dictionary]
    """Those at sites up to the probe's are used."""
    texts: Confounded
    site: str
    """Where the probe reads."""
    judge: Decide
    """Says of the units of a circuit, with the tokens they fire on beside them, which to drop."""
    keywords: Sequence[str] = ()
    """The concepts of the bottleneck, which is left out without them."""
    nodes: int = 100
    """How many units of a circuit are judged."""
    attributed: int = 100
    """How many texts a circuit is found on."""
    by: str = "integrated_gradients"
    steps: int = 10
    skip: int = 1
    """Tokens at the start of a text of which the probe reads nothing."""
    epochs: int = 1
    gamma: float = 2.0
    """Of BLIND."""
    seed: int = 0
    told: Callable[[str], None] = lambda what: None
    """Called with the name of each row before it is worked out."""

    # What is judged.

    @cached_property
    def probe(self) -> Probe:
        """Learnt on the ambiguous texts, of the plain model."""
        return self._fitted()

    @cached_property
    def features(self) -> Model:
        """The model seen in the dictionaries up to the probe's site."""
        end = self.model.body.site(self.site)
        below = [d for d in self.dictionaries if not end < self.model.body.site(d.writes)]
        if not below:
            raise ValueError(
                f"none of {len(self.dictionaries)} dictionaries sits at or below {end}; choose a later site"
            )
        return self.model.through(*below)

    @cached_property
    def views(self) -> Mapping[str, Model]:
        """By name the model seen in features and, if there are any below the probe's site, in MLP hidden units."""
        hidden = [site for site in self.model.sites("neuron") if site < self.model.body.site(self.site)]
        return {"features": self.features} | ({"neurons": self.model.neurons(*hidden)} if hidden else {})

    @cached_property
    def circuits(self) -> Mapping[str, Circuit]:
        """For "features" and "neurons", every unit scored by its effect on the probe's right answers."""
        return {name: self._attributed(view, self.texts.train, False) for name, view in self.views.items()}

    @cached_property
    def skylines(self) -> Mapping[str, Circuit]:
        """The same on balanced texts, by the effect on how far the probe leans to what goes with the spurious label."""
        return {name: self._attributed(view, self.texts.balanced, True) for name, view in self.views.items()}

    @cached_property
    def judged(self) -> Mapping[str, tuple[Circuit, Verdicts]]:
        """For both, the strongest units with the tokens they fire on, and what the judge says of them."""
        found = {}
        for name, view in self.views.items():
            shown = top_tokens(view, self.circuits[name].top(self.nodes), self.texts.train.texts)
            found[name] = shown, self.judge(shown)
        return found

    @cached_property
    def plain(self) -> Mapping[str, Tensor]:
        """What the plain model holds at the site of the texts of each part: train, balanced, test."""
        return {part: self._held(part, self.model) for part in ("train", "balanced", "test")}

    def _held(self, part: str, model: Model) -> Float[Tensor, "text d"]:
        return pooled(model, getattr(self.texts, part).texts, self.site, Pool("mean", self.skip))

    # The rows of the table.

    def report(self) -> Report:
        """Every row: accuracy on the target, agreement with the spurious label, worst group, on the balanced test half.

        Returns: a Report; `nodes` says how many units a row holds at zero.
        Source: Marks et al. 2024 (arXiv:2403.19647), Table 2. Differs: a rule judges unless `judge` is a person; the
        neuron skyline holds neurons at zero, not at their mean; SHIFT in neurons, which the paper gave up because
        nobody can read them, is done by the same judge; BLIND (arXiv:2212.10563) is new.
        """
        truth, target, spurious, rows = self.texts.truth, self.texts.target, self.texts.spurious, list[Row]()
        how = {"target": target, "spurious": spurious, "texts": self.texts.test.asked(), "seed": self.seed}
        for name, answer in self._answers():
            self.told(name)
            says, nodes = answer()
            rows += accuracies(says, truth, **how, of=name, nodes=nodes)
        pairs = " and ".join(f"{t} with {s}" for t, s in self.texts.together.items())
        title = f"SHIFT: {target} read at {self.site} of {self.model.name}, learnt where {pairs} always go together"
        judged = {name: str(verdicts) for name, (_, verdicts) in self.judged.items()}
        notes = [f"Judged of {name}: {said}." for name, said in judged.items()]
        if not self._dropped("features"):
            notes.append("The judge dropped nothing, so SHIFT and random leave the model as it is.")
        return Report(title, tuple(rows), tuple(notes), self._provenance())

    def _answers(self) -> Iterator[tuple[str, Callable[[], Answer]]]:
        yield "original", lambda: self._said(self.probe)
        yield "random", lambda: self._without("features", self._random())
        if "neurons" in self.views:
            yield "SHIFT in neurons", lambda: self._without("neurons", self._dropped("neurons"))
        if self.keywords:
            yield "concept bottleneck", self._bottleneck
        if "neurons" in self.views:
            yield "neuron skyline", lambda: self._without("neurons", self._strongest("neurons"))
        yield "feature skyline", lambda: self._without("features", self._strongest("features"))
        yield "SHIFT", lambda: self._without("features", self._dropped("features"))
        yield "SHIFT + retrain", self._retrained
        yield "BLIND", lambda: self._said(self._fitted(gamma=self.gamma))
        yield "oracle", lambda: self._said(self._fitted(part="balanced"))

    def _said(self, probe: Probe, model: Model | None = None, nodes: int | None = None) -> Answer:
        x = self.plain["test"] if model is None else self._held("test", model)
        return (probe(x) > 0).numpy(), nodes

    def _without(self, name: str, edits: Sequence[Edit]) -> Answer:
        """The same probe of the model without some units."""
        return self._said(self.probe, self.views[name].edited(*edits), _units(edits))

    def _retrained(self) -> Answer:
        edits = self._dropped("features")
        without = self.features.edited(*edits)
        return self._said(self._fitted(without), without, _units(edits))

    def _bottleneck(self) -> Answer:
        concept = concepts(self.model, self.keywords, self.site)
        near = {part: nearness(self.plain[part], concept) for part in ("train", "test")}
        weight, bias = learn(near["train"], self._positive("train"), epochs=max(20, self.epochs), seed=self.seed)
        return (near["test"] @ weight + bias > 0).numpy(), None

    def _dropped(self, name: str) -> Sequence[Edit]:
        circuit, verdicts = self.judged[name]
        return shift(self.views[name], circuit, verdicts=verdicts) if len(verdicts.dropped(circuit)) else ()

    def _random(self) -> Sequence[Edit]:
        """As many features, drawn from all that have an effect."""
        whole, n = self.circuits["features"], _units(self._dropped("features"))
        return whole.keep(np.random.default_rng(self.seed).permutation(len(whole))[:n]).zero()

    def _strongest(self, name: str) -> Sequence[Edit]:
        """As many units as SHIFT drops features, those that lean the probe most to the spurious label."""
        whole, n = self.skylines[name], _units(self._dropped("features"))
        return whole.keep(np.argsort(-whole.score, kind="stable")[:n]).zero()

    def _fitted(self, model: Model | None = None, *, part: str = "train", gamma: float = 0.0) -> Probe:
        x = self.plain[part] if model is None else self._held(part, model)
        weight, bias = learn(x, self._positive(part), epochs=self.epochs, gamma=gamma, seed=self.seed)
        fitted = {
            "epochs": self.epochs,
            "gamma": gamma,
            "seed": self.seed,
            "evidence_hash": getattr(self.texts, part).hash,
        }
        site, pool = self.model.body.site(self.site), Pool("mean", self.skip)
        return Probe(site, weight, bias, classes=self.texts.classes, pool=pool, fitted=fitted)

    def _positive(self, part: str) -> Bool[np.ndarray, " text"]:
        return np.array([label == self.texts.classes[1] for label in getattr(self.texts, part)[self.texts.target]])

    def _attributed(self, view: Model, texts: Any, spurious: bool) -> Circuit:
        chosen = np.random.default_rng(self.seed).permutation(len(texts))[: self.attributed]
        some = texts.pick(sorted(chosen.tolist()))
        labels = self.texts.goes_with(some[self.texts.spurious]) if spurious else some[self.texts.target]
        task = asks(view, some.texts, labels, self.probe)
        steps: dict[str, Any] = {"steps": self.steps} if self.by.startswith("integrated") else {}
        found = clew.find(view, task, by=self.by, held_out=False, skip=self.skip, **steps)
        return found.keep(found.unit != ERROR)

    def _provenance(self) -> dict[str, Any]:
        named = ("site", "nodes", "attributed", "by", "steps", "skip", "epochs", "gamma", "seed")
        halves = {half: getattr(self.texts, half) for half in ("train", "balanced", "test")}
        texts = {half: {"texts": len(some), "hash": some.hash} for half, some in halves.items()}
        dropped = {
            name: {unit: ruling.reason for unit in verdicts if (ruling := verdicts[unit]) and ruling.verdict == "drop"}
            for name, (_, verdicts) in self.judged.items()
        }
        return {
            "model": self.model.name,
            "weights": self.model.body.fingerprint,
            "probe": repr(self.probe),
            "dictionaries": dict(self.features.fingerprints),
            "texts": {"name": self.texts.train.name, **texts},
            "dropped": dropped,
            "options": {name: getattr(self, name) for name in named},
        }


def by_words(words: Collection[str], *, share: float = 0.5) -> Decide:
    """A judge that drops units most of whose top tokens are among these words; see `Verdicts.by_words`."""
    return lambda circuit: Verdicts.of(circuit).by_words(circuit, words, share=share)


def by_file(path: str | Path, other: Decide) -> Decide:
    """A judge that has decided and written it down; units that the file does not rule on are left to another.

    Raises: ValueError, when it is asked, if the file is of other dictionaries than the circuit.
    """
    given = Verdicts.load(path)

    def judge(circuit: Circuit) -> Verdicts:
        given.dropped(circuit)
        asked = other(circuit)
        return replace(asked, units={address: given.units.get(address) or asked[address] for address in asked})

    return judge


def _units(edits: Sequence[Edit]) -> int:
    return sum(len(edit.units or ()) for edit in edits)  # type: ignore[attr-defined]

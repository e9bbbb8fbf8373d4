"""A trial: measures circuits against a model as it is and a model with everything ablated."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.progress import Tell
from clew.report import Row, bootstrap, members_of
from clew.tables import many

T = TypeVar("T")


class Trial(ABC):
    """What trials of nodes and trials of edges have in common."""

    whole: np.ndarray
    """[example] metric of the model as it is."""
    empty: np.ndarray
    """[example] metric with every node, or every edge, ablated."""
    seed: int
    behaviour: Behaviour
    """On whose prompts it measures."""
    batches: Sequence[Batch]
    unit: str
    """What it ablates: "node" or "edge"."""
    forwards: int = 0
    """Forwards spent so far, in passes over all prompts."""
    progress: Tell | None = None
    expected: int = 2
    """How many forwards there will be, the two of the ends among them: what `progress` is told of."""

    def over(self, batches: Collection[T], passes: int = 1) -> Iterator[T]:
        """The batches of some passes side by side, telling how far the trial is after each."""
        n = len(batches)
        for over, batch in enumerate(batches, 1):
            yield batch
            if self.progress:
                done = self.forwards * n + over * passes
                self.progress(done, max(done, self.expected * n))
        self.forwards += passes

    @property
    @abstractmethod
    def how(self) -> tuple[str, ...]:
        """How it ablates, on how many prompts, and the metric at the two ends."""

    @property
    def notes(self) -> tuple[str, ...]:
        """How it ablates, and what makes the shares doubtful, if anything does."""
        return (*self.how, *self._doubts())

    def _doubts(self) -> Iterator[str]:
        """Why shares of the gap between the ends may mean nothing: it is inside its noise, or has the wrong sign."""
        gap = self.whole - self.empty
        low, high = self.interval(lambda i: float(gap[i].mean()))
        said = f"the gap between the whole model and nothing, {gap.mean():.3g}"
        if low <= 0 <= high:
            yield f"{said} [{low:.3g}, {high:.3g}], is inside its own noise, so shares of it mean nothing; give more prompts"
        elif gap.mean() < 0:
            yield (
                f"{said}, is negative: the metric is higher with every {self.unit} ablated. Unless lower is better, these "
                "shares do not say how much of the behaviour a circuit carries; try another ablation"
            )

    @abstractmethod
    def circuit_metric(self, circuit: Circuit, *, complement: bool = False) -> np.ndarray:
        """[example] metric with only the circuit in place, or with only the rest of the model."""

    def circuit_metrics(self, asked: Iterable[tuple[Circuit, bool]]) -> Iterator[np.ndarray]:
        """`circuit_metric` of each (circuit, complement) in turn; where it can, a trial runs several side by side."""
        for circuit, complement in asked:
            yield self.circuit_metric(circuit, complement=complement)

    def both(self, circuits: Iterable[Circuit]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of each circuit the metric with only it in place, and with only the rest."""
        found = self.circuit_metrics((circuit, complement) for circuit in circuits for complement in (False, True))
        return zip(found, found, strict=True)

    @abstractmethod
    def size(self, circuit: Circuit) -> int:
        """How many nodes, or edges, a circuit holds."""

    def total(self, circuit: Circuit) -> int:
        """How many there are, of which a circuit holds some: the nodes of a circuit of all that were scored."""
        return self.size(circuit)

    @abstractmethod
    def largest(self, circuit: Circuit, n: int) -> Circuit:
        """The n of largest |score|."""

    @abstractmethod
    def draw(self, circuit: Circuit, index: np.ndarray) -> Circuit:
        """The nodes, or edges, at these indices."""

    @cached_property
    def asked(self) -> list[tuple[int, ...]]:
        """[example] the clean prompt, by which copies of one prompt are known."""
        return [tuple(row) for batch in self.batches for row in batch.clean.tolist()]

    @property
    def prompts(self) -> int:
        """How many prompts there are, copies counted once."""
        return len(set(self.asked))

    @property
    def said_prompts(self) -> str:
        """How many, in words."""
        n, asked = self.prompts, len(self.asked)
        return many(n, "prompt") + f" ({asked} with copies, which count as one in intervals)" * (n != asked)

    def by_prompt(self, values: np.ndarray) -> np.ndarray:
        """[prompt] the mean of values, [example], over the copies of each prompt: what tests may count."""
        return np.array([values[index].mean() for index in members_of(self.asked)])

    def interval(self, statistic: Callable[[np.ndarray], float]) -> tuple[float, float]:
        """95 % of a statistic of examples, over prompts."""
        return bootstrap(statistic, self.asked, seed=self.seed)

    def share(self, metric: np.ndarray) -> Callable[[np.ndarray], float]:
        """(m - m(empty)) / (m(M) - m(empty)) over some examples."""
        return lambda i: float(
            (metric[i].mean() - self.empty[i].mean()) / (self.whole[i].mean() - self.empty[i].mean())
        )

    def rows(self, circuits: Iterable[Circuit], of: str = "") -> Iterator[Row]:
        """Faithfulness and completeness of each circuit."""
        every = np.arange(len(self.whole))
        asked = [(circuit, complement) for circuit in circuits for complement in (False, True)]
        for (circuit, complement), metric in zip(asked, self.circuit_metrics(asked), strict=True):
            share = self.share(metric)
            ends, name = self.interval(share), "completeness" if complement else "faithfulness"
            yield Row(name, share(every), *ends, of, self.size(circuit), self.prompts, self.unit)

    def check_ends(self, what: str) -> None:
        """Warn of shares that mean nothing. Raises: ValueError where ablating everything does not move the metric."""
        if abs(self.whole.mean() - self.empty.mean()) < 1e-12:
            raise ValueError(
                f"ablating {what} leaves the metric at {self.whole.mean():.4g}, so shares of its change mean nothing; "
                "another ablation, metric, other patch prompts or another set of sites is needed"
            )
        for doubt in self._doubts():
            warnings.warn(f"{self.behaviour.name}: {doubt}", stacklevel=2)

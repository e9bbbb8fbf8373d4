"""A classifier: a linear head on what one site of a model holds on average over a text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Batch, Pair
from clew.files import write_whole
from clew.models import Model
from clew.models.trace import Trace
from clew.readings.states import states
from clew.sites import Site

FORMAT, VERSION = "clew classifier", 1
HIDDEN = 64
"""Width of BLIND's success detector."""


@dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """Says which of two classes a text is of: the second where weight . (mean of the site over its tokens) + bias > 0.

    It is also a metric: called with a run, it gives by how many logits each text leans to the class that its pair's
    `case` names, so that a unit with a positive effect supports the right answer. See `asks`.

    >>> head = Classifier("resid.3", torch.tensor([1.0, 0.0]), -0.5, ("nurse", "professor"))
    >>> head(torch.tensor([[2.0, 7.0], [0.0, 7.0]])).tolist()
    [1.5, -0.5]
    """

    site: Site | str
    """Where it reads."""
    weight: Float[Tensor, " d"]
    bias: float
    classes: tuple[str, str]
    """The class below 0 and the class above."""
    skip: int = 1
    """The first tokens, left out of the mean: the very first is an attention sink in most models."""

    keep: ClassVar[int] = 0
    """As a metric it reads no logits, so a run may stop at its site."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", Site.parse(self.site))
        if len(set(self.classes)) != 2:
            raise ValueError(f"a classifier tells two classes apart; {self.classes} were given")

    def __repr__(self) -> str:
        numbers = self.weight.detach().double().cpu().numpy().tobytes() + str((self.bias, self.classes)).encode()
        return f"classifier({self.site}, {self.classes[1]} or {self.classes[0]}, {hashlib.sha256(numbers).hexdigest()[:8]})"

    @property
    def reads(self) -> tuple[Site, ...]:
        return (Site.parse(self.site),)

    def __call__(self, x: Float[Tensor, "example d"] | Trace, batch: Batch | None = None) -> Float[Tensor, " example"]:
        """Logits of the second class from pooled states; from a run and its batch, logits towards each pair's `case`."""
        if isinstance(x, Tensor):
            return x @ self.weight.to(x) + self.bias
        assert batch is not None
        value = x[Site.parse(self.site)]
        pooled = value[:, self.skip :].to(torch.promote_types(value.dtype, torch.float32)).mean(1)
        logits = pooled @ self.weight.to(pooled) + self.bias
        return logits * torch.tensor([self._sign(pair.case) for pair in batch.pairs]).to(logits)

    def _sign(self, case: str) -> float:
        if case not in self.classes:
            raise ValueError(f"a text is labelled {case!r}; this classifier knows {' and '.join(self.classes)}")
        return 1.0 if case == self.classes[1] else -1.0

    def logits(self, model: Model, texts: Sequence[str]) -> Float[Tensor, " text"]:
        """Logits of the second class, with the model's edits in force; the run stops at the site."""
        return self(self.pooled(model, texts))

    def pooled(self, model: Model, texts: Sequence[str]) -> Float[Tensor, "text d"]:
        """What it reads of each text: the mean of its site."""
        return states(model, texts, [self.site], at="mean", skip=self.skip)[Site.parse(self.site)]

    def asks(self, model: Model, texts: Sequence[str], labels: Sequence[str]) -> Behaviour:
        """A behaviour without patch prompts whose metric is this classifier's logit towards each text's label.

        Raises: ValueError for a label that is not one of its classes.
        """
        signs = [self._sign(label) for label in labels]
        ids = [tuple(model.tokenizer(text)["input_ids"]) for text in texts]
        pairs = tuple(Pair(row, None, (), case=label) for row, label, _ in zip(ids, labels, signs, strict=True))
        return Behaviour(f"{self.classes[1]} or {self.classes[0]}", pairs, self, split=len(pairs))

    @classmethod
    def fit(
        cls,
        model: Model,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        site: Site | str,
        classes: tuple[str, str] | None = None,
        skip: int = 1,
        epochs: int = 1,
        lr: float = 1e-2,
        batch: int = 32,
        gamma: float = 0.0,
        seed: int = 0,
    ) -> Classifier:
        """Learn it from labelled texts as this view of the model holds them (its edits are in force).

        Args: classes: (below 0, above 0); in alphabetic order by default. The rest as for `learn`.
        Source: the probe of Marks et al. 2024 (arXiv:2403.19647), appendix on SHIFT: AdamW, 1e-2, one epoch. Differs:
        states are centred and divided by one number first, and `skip` tokens are left out of the mean.
        """
        classes = classes or (min(labels), max(labels))
        site = model.body.site(site)
        x = states(model, texts, [site], at="mean", skip=skip)[site]
        if stray := set(labels) - set(classes):
            raise ValueError(
                f"texts are labelled {sorted(stray)}; two classes can be told apart, as in classes={classes}"
            )
        positive = np.array([label == classes[1] for label in labels])
        weight, bias = learn(x, positive, epochs=epochs, lr=lr, batch=batch, gamma=gamma, seed=seed)
        return cls(site, weight, bias, classes, skip)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file, exact to the bit."""
        head = {"format": FORMAT, "version": VERSION, "site": str(self.site), "bias": float(self.bias).hex()}
        head |= {"classes": list(self.classes), "skip": self.skip}
        tensors = {"weight": self.weight.detach().cpu().contiguous()}
        return write_whole(path, lambda file: save_file(tensors, file, {"clew": json.dumps(head)}))

    @classmethod
    def load(cls, path: str | Path) -> Classifier:
        """Read what `save` wrote. Raises: ValueError naming the file and what is wrong with it."""
        if not Path(path).is_file():
            raise ValueError(f"there is no file {path} of a classifier")
        try:
            with safe_open(path, "pt") as file:
                head = json.loads((file.metadata() or {}).get("clew", "{}"))
                if head.get("format") != FORMAT or head.get("version") != VERSION:
                    found = f"{head.get('format') or 'no classifier of clew'}, version {head.get('version')}"
                    raise ValueError(f"{path} holds {found}; this clew reads {FORMAT!r}, version {VERSION}")
                classes = (str(head["classes"][0]), str(head["classes"][1]))
                bias = float.fromhex(head["bias"])
                return cls(head["site"], file.get_tensor("weight"), bias, classes, int(head["skip"]))
        except (SafetensorError, json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{path} is not a whole classifier: {error}") from error


def learn(
    x: Float[Tensor, "example d"],
    positive: Bool[np.ndarray, " example"],
    *,
    epochs: int = 1,
    lr: float = 1e-2,
    batch: int = 32,
    gamma: float = 0.0,
    seed: int = 0,
) -> tuple[Float[Tensor, " d"], float]:
    """(weight, bias) of a linear head by AdamW, on x centred and divided by the median spread of a coordinate.

    Args:
        gamma: above 0, BLIND: beside the head a success detector learns to predict, from the same x, whether the head
            is right, and each example counts (1 - p)^gamma of its loss, p being that prediction. What is easy for a
            shortcut then counts less, and no one needs to say what the shortcut is; but examples that the shortcut
            gets wrong must be there. At 0 it is the plain head, bit for bit.

    Raises: ValueError where all examples are of one class.
    Source: BLIND: Orgad & Belinkov 2023 (arXiv:2212.10563), the debiased focal loss. Differs: states are frozen, and
    the detector has a hidden layer, for whether a linear head is right is seldom linear in what it reads.
    """
    if positive.all() or not positive.any():
        raise ValueError(f"all {len(positive)} texts are of one class, so there is nothing to tell apart")
    mean, spread = x.mean(0), x.std(0)
    scale = spread[spread > 0].median() if bool((spread > 0).any()) else torch.ones(()).to(x)
    z, y = (x - mean) / scale, torch.from_numpy(positive).to(x)
    generator, d = torch.Generator().manual_seed(seed), x.shape[1]
    head = [torch.zeros(d, dtype=x.dtype), torch.zeros((), dtype=x.dtype)]
    detector = [torch.randn(*n, generator=generator, dtype=x.dtype) / n[0] ** 0.5 for n in ((d, HIDDEN), (HIDDEN,))]
    optimiser = torch.optim.AdamW([parameter.requires_grad_() for parameter in (*head, *detector)], lr=lr)
    for _ in range(epochs):
        for some in torch.randperm(len(x), generator=generator).split(batch):
            says, succeeds = z[some] @ head[0] + head[1], (z[some] @ detector[0]).relu() @ detector[1]
            right = ((says > 0) == (y[some] > 0)).to(x)
            counts = (gamma * logsigmoid(-succeeds.detach())).exp()
            loss = (counts * binary_cross_entropy_with_logits(says, y[some], reduction="none")).mean()
            optimiser.zero_grad()
            (loss + binary_cross_entropy_with_logits(succeeds, right)).backward()  # neither moves the other's weights
            optimiser.step()
    weight = head[0].detach() / scale
    return weight, float(head[1].detach() - mean @ weight)

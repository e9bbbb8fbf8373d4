"""A model whose texts hold chosen states at `embed`, so that every estimator's answer is known."""

import torch
from torch import Tensor

from clew import Behaviour, Model
from tests.planted import behaviour_of, tiny_model

D = 32
Ids = list[tuple[int, ...]]


def planted(wanted: Tensor, unwanted: Tensor) -> tuple[Model, tuple[Ids, Ids]]:
    """Each row is the embedding of one token, and each token a text: (model, (wanted texts, unwanted texts))."""
    rows = torch.cat([wanted, unwanted]).double()
    model = tiny_model("llama", vocab_size=len(rows))
    model.body.module.get_input_embeddings().weight.data = rows
    n = len(wanted)
    return model, ([(i,) for i in range(n)], [(i,) for i in range(n, len(rows))])


def paired(texts: tuple[Ids, Ids]) -> Behaviour:
    """Text i of one list against text i of the other."""
    clean, patch = (torch.tensor(side) for side in texts)
    return behaviour_of(clean, patch, torch.zeros(len(clean)), torch.ones(len(clean)))


def noisy(n: int, *, nuisance: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pairs whose difference is 3 e_0, noise of spread 0.3, and a nuisance along e_1 of the given spread."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    middle, difference = draw(n, D), 0.3 * draw(n, D)
    difference[:, 0] += 3
    difference[:, 1] += nuisance * draw(n)
    return middle + difference / 2, middle - difference / 2

"""Products of random factors, and what they are when multiplied out."""

import torch
from torch import Tensor

from clew.models import Model
from clew.readings.heads import Product

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def dense(product: Product) -> Tensor:
    return product.left @ product.right


def heads(model: Model) -> int:
    return model.body.n_heads

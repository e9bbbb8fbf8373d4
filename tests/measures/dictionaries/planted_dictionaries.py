"""A small model, a text in token ids, and dictionaries whose measures are known by hand."""

import torch
from torch import Tensor

from clew.data.text.windows import Windows
from clew.dictionaries import ReLU
from clew.measures.dictionaries._kept import kept
from clew.models import Model
from clew.report import Report, Row
from tests.planted import tiny_model

SITE = "resid.0"


def model() -> Model:
    return tiny_model("gpt_neox")


def text(documents: int = 6, length: int = 9, classes: bool = False) -> Windows:
    """Windows of random tokens of unlike lengths, two a document, whose first position does not count."""
    g = torch.Generator().manual_seed(0)
    lengths = torch.tensor([length - i % 3 for i in range(2 * documents)])
    flat = torch.randint(3, 90, (int(lengths.sum()),), generator=g)
    keep = torch.ones(len(flat), dtype=torch.bool)
    keep[lengths.cumsum(0) - lengths] = False
    kinds = torch.arange(len(flat)) % 2 + 1 if classes else None
    return Windows(flat, lengths, keep, torch.arange(2 * documents) // 2, {"packing": "none"}, kinds)


def values(model: Model, windows: Windows, dictionary: ReLU) -> Tensor:
    """What flows at the site that a dictionary writes, at the positions that count."""
    return torch.cat([some.value for (some,) in kept(model, windows, dictionary)])


def constant(b_dec: Tensor, site: str = SITE) -> ReLU:
    """A dictionary that always says b_dec."""
    d = len(b_dec)
    zeros = torch.zeros(d, 4, dtype=b_dec.dtype)
    return ReLU(site, W_enc=zeros, b_enc=zeros[0], W_dec=zeros.T.clone(), b_dec=b_dec, centred=False)


def signed_copy(d: int, site: str = SITE, scale: float = 1.0) -> ReLU:
    """An exact dictionary: each coordinate's positive and negative part is a unit; `scale` makes it inexact."""
    eye = torch.eye(d, dtype=torch.float64)
    both = torch.cat([eye, -eye])
    return ReLU(site, W_enc=both.T.clone(), W_dec=scale * both, b_dec=torch.zeros_like(eye[0]), centred=False)


def row(report: Report, measure: str, of: str = "") -> Row:
    (found,) = [r for r in report.rows if (r.measure, r.of) == (measure, of)]
    return found

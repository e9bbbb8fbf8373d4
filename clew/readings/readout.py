"""The readout: a model's last norm and unembedding, read forwards (the logit lens) and backwards.

Forwards: logits = W_U norm(x) + b. Backwards: norm(x) = W_U⁺ (logits - b), exact because W_U has more rows than columns
and full rank, so that W_U⁺ W_U = I; and x from norm(x), if the scale and the mean that the norm took off are kept.
Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; the way back after Ashuach et al. 2025 (REVS,
arXiv:2406.09325). A cap on the logits (Gemma 2) is left out: it changes no order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.models.model import Model
from clew.readings.norms import parts_of
from clew.sites import Weight

LOGITS, PART = 2**26, 2**14
"""At most so many logits at once when ranks are counted (256 MiB in float32); rows of W_U in float64 at once."""


@dataclass(frozen=True, eq=False)
class Readout:
    """Made by `Readout.of(model)`, in float32, or float64 for a model in float64."""

    gain: Float[Tensor, " d_model"]
    """What the norm multiplies by."""
    shift: Float[Tensor, " d_model"]
    """What it adds after that; 0 for an RMS norm."""
    centres: bool
    """Whether it takes off the mean: a layer norm."""
    eps: float
    unembed: Float[Tensor, "vocab d_model"]
    bias: Float[Tensor, " vocab"]

    @classmethod
    def of(cls, model: Model) -> Readout:
        """The readout of a model, its edits of weights included.

        Raises: ValueError where what stands before the unembedding is neither a layer norm nor an RMS norm.
        """
        linear = model.body.linear(Weight("unembed"))
        wide = torch.promote_types(model.body.dtype, torch.float32)
        unembed, bias = linear.matrix().to(wide), linear.bias
        gain, shift, centres, eps = parts_of(model.body.final_norm, unembed[0].to(model.body.dtype))
        return cls(
            gain.to(wide),
            shift.to(wide),
            centres,
            eps,
            unembed,
            unembed.new_zeros(len(unembed)) if bias is None else bias.to(wide),
        )

    def centred(self, x: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place d_model"]:
        """x without its mean, where the norm takes it off."""
        return x - x.mean(-1, keepdim=True) if self.centres else x

    def scale(self, x: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place 1"]:
        """What the norm divides x by: the root of the mean square (of the variance, in a layer norm) plus eps."""
        return (self.centred(x).square().mean(-1, keepdim=True) + self.eps).sqrt()

    def norm(self, x: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place d_model"]:
        """What the unembedding reads of x."""
        return self.centred(x) / self.scale(x) * self.gain + self.shift

    def lens(self, x: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place vocab"]:
        """The logits of x as if it were the stream after the last block."""
        return self.norm(x.to(self.unembed)) @ self.unembed.T + self.bias

    def ranks(self, x: Float[Tensor, "place d_model"], tokens: Int[Tensor, " place"]) -> Int[Tensor, " place"]:
        """How many tokens have a higher logit than this one in the lens, for each row; 0 is the top."""
        rows = max(1, LOGITS // len(self.unembed))
        parts = zip(x.split(rows), tokens.split(rows), strict=True)
        return torch.cat([above(self.lens(some), their) for some, their in parts])

    def _undone(self, x: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place d_model"]:
        """x over the gain. Raises: ValueError where a gain is 0."""
        if bool((self.gain == 0).any()):
            raise ValueError("the norm before the unembedding drops coordinates, so it has no inverse")
        return x / self.gain

    @cached_property
    def gram(self) -> Float[Tensor, "d_model d_model"]:
        """The Cholesky factor of W_Uᵀ W_U, in float64. Raises: ValueError where W_U is not of full column rank."""
        total = torch.zeros(
            self.unembed.shape[1], self.unembed.shape[1], dtype=torch.float64, device=self.unembed.device
        )
        for rows in self.unembed.split(PART):
            total += rows.double().T @ rows.double()
        factor, info = torch.linalg.cholesky_ex(total)
        if int(info) or float((factor.diagonal().square() / total.diagonal()).min()) < 1e-13:
            raise ValueError(
                f"the unembedding, {list(self.unembed.shape)}, is not of full column rank, so logits do not "
                "say what was read"
            )
        return factor

    def back(self, logits: Float[Tensor, "*place vocab"]) -> Float[Tensor, "*place d_model"]:
        """W_U⁺ logits: what the unembedding must read to come nearest these logits, its bias aside."""
        pulled: Tensor | float = 0.0
        for some, rows in zip(logits.split(PART, dim=-1), self.unembed.split(PART), strict=True):
            pulled = pulled + some.double() @ rows.double()
        assert isinstance(pulled, Tensor)
        return torch.cholesky_solve(pulled[..., None], self.gram)[..., 0].to(self.unembed)

    def towards(self, token: int) -> Float[Tensor, " d_model"]:
        """The direction before the norm that raises this token's logit: W_U⁺ e_token over the gain."""
        row = torch.cholesky_solve(self.unembed[token].double()[:, None], self.gram)[:, 0]
        return self._undone(row.to(self.unembed))

    def unnorm(
        self, read: Float[Tensor, "*place d_model"], like: Float[Tensor, "*place d_model"]
    ) -> Float[Tensor, "*place d_model"]:
        """The x of which the norm makes `read`, of the scale (and in a layer norm the mean) of `like`: norm inverted."""
        x = self._undone(read - self.shift) * self.scale(like)
        return x + like.mean(-1, keepdim=True) if self.centres else x


def above(logits: Float[Tensor, "*place vocab"], tokens: Int[Tensor, "*place"]) -> Int[Tensor, "*place"]:
    """How many tokens have a higher logit than this one: its rank, 0 at the top; equals do not count."""
    return (logits > logits.gather(-1, tokens[..., None])).sum(-1)


def below(logits: Float[Tensor, "*place vocab"], tokens: Int[Tensor, "*place"]) -> Int[Tensor, "*place"]:
    """How many tokens have a lower logit than this one: its rank from the bottom."""
    return (logits < logits.gather(-1, tokens[..., None])).sum(-1)

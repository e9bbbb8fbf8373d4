"""Channels between heads: what an earlier head writes, seen in what a later one reads of it.

A head moves W_OV = W_O W_V from one token to another; a later head reads it through W_R: its queries against all keys
(W_Kᵀ W_Q), its keys (W_Qᵀ W_K), or its values (W_OV). Norms are folded in: gains into what reads, and where they take off
the mean, so do reader and writer. All products stay in factors as narrow as a head. Source: Elhage et al. 2021, composition
scores; Merullo et al. 2024, "Talking Heads", arXiv:2406.09519, whose component scores are ours up to the denominator:
with that of the whole, Σ score_i² = score².

Not seen: rotations (W_QK is taken before them, as if the two tokens stood at one position), norms of queries and keys
(Qwen 3, Gemma 3), and the scale of every norm, which depends on the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from clew.models import Model
from clew.readings.norms import gain_of

Head = tuple[int, int]
"""(layer, head)."""
Side = Literal["q", "k", "v"]


@dataclass(frozen=True, eq=False)
class Product:
    """left @ right, [d_model, d_model], of the rank of a head; never multiplied out."""

    left: Float[Tensor, "d_model d_head"]
    right: Float[Tensor, "d_head d_model"]

    @cached_property
    def svd(self) -> tuple[Float[Tensor, "d_model rank"], Float[Tensor, " rank"], Float[Tensor, "d_model rank"]]:
        """(u, σ, v) with left @ right = Σ σ_i u_i v_iᵀ, the largest first."""
        (write, a), (read, b) = torch.linalg.qr(self.left), torch.linalg.qr(self.right.T)
        u, size, v = torch.linalg.svd(a @ b.T)
        return write @ u, size, read @ v.T

    @property
    def norm(self) -> float:
        """The Frobenius norm."""
        return float(self.svd[1].norm())


def reads(model: Model, head: Head, side: Side) -> Product:
    """W_R of a head: W_Kᵀ W_Q (side "q"), W_Qᵀ W_K ("k") or W_O W_V ("v")."""
    if side == "v":
        return moves(model, head)
    query, key = (_inner(model, part, head) for part in "qk")
    return Product(key.T, query) if side == "q" else Product(query.T, key)


def moves(model: Model, head: Head) -> Product:
    """W_OV of a head."""
    norm, factor = model.body.after("out", head[0])
    left = output(model, head) * factor
    if norm is not None:
        left = left * gain_of(model, norm)[0][:, None]
    if gain_of(model, model.body.norm_before("attn", head[0]))[1]:
        left = left - left.mean(0)
    return Product(left, _inner(model, "v", head))


def output(model: Model, head: Head) -> Float[Tensor, "d_model d_head"]:
    """The columns of the output projection that are this head's, as they stand there."""
    return model.body.linear(f"out.{head[0]}").matrix()[:, columns(model, head)].double().cpu()


def columns(model: Model, head: Head) -> slice:
    """Where a head stands in what the output projection reads."""
    width = model.body.widths[model.body.site(f"head.{head[0]}")] // model.body.n_heads
    return slice(head[1] * width, (head[1] + 1) * width)


def _inner(model: Model, part: str, head: Head) -> Float[Tensor, "d_head d_model"]:
    """The rows with which a head makes queries, keys or values of the stream, the norm before them folded in."""
    layer, number = head
    body = model.body
    if part != "q":
        number = number * body.n_kv_heads // body.n_heads  # heads share keys and values in runs
    matrix = body.linear(f"{part}.{layer}").matrix()
    rows = matrix.unflatten(0, (body.n_heads if part == "q" else body.n_kv_heads, -1))[number]
    gain, centres = gain_of(model, model.body.norm_before("attn", layer))
    rows = rows.double().cpu() * gain
    return rows - rows.mean(1, keepdim=True) if centres else rows


def composition(reader: Product, writer: Product) -> float:
    """‖W_R W_OV‖ / (‖W_R‖ ‖W_OV‖): 0 where the reader is blind to the writer, 1 where it sees nothing else."""
    return float(components(reader, writer).norm())


def components(reader: Product, writer: Product) -> Float[Tensor, " rank"]:
    """‖W_R σ_i u_i v_iᵀ‖ / (‖W_R‖ ‖W_OV‖) for each component of the writer, in the order of its SVD."""
    u, size, _ = writer.svd
    _, a = torch.linalg.qr(reader.left)
    seen = (a @ (reader.right @ u)).norm(dim=0) * size
    whole = reader.norm * writer.norm
    return seen / whole if whole else torch.zeros_like(seen)

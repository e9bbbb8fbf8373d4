"""The least change of a linear map that gives chosen inputs chosen outputs: one solver under many editors' names.

ROME, MEMIT, UCE, TIME and ReFACT are one regularised least squares problem, with other keys, values and priors:

    min over Δ of  strength · tr(Δ C Δᵀ) + Σ ‖(W + Δ) k − v‖²   =>   Δ = (V − W K) Kᵀ (strength · C + K Kᵀ)⁻¹

with the keys k in the columns of K and the wanted outputs v in those of V. C, the second moment E[k kᵀ] of ordinary
inputs, says how dear a change is in each direction: tr(Δ C Δᵀ) is how far, squared, outputs move on ordinary text.
Source: Meng et al. 2022 (ROME, arXiv:2202.05262, eq. 2) and 2023 (MEMIT, arXiv:2210.07229, eq. 14); Orgad et al. 2023
(TIME, arXiv:2303.08084); Gandikota et al. 2024 (UCE, arXiv:2308.14761).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def least_change(
    W: Float[Tensor, "out in"],
    keys: Float[Tensor, "example in"],
    values: Float[Tensor, "example out"],
    *,
    prior: Float[Tensor, "in in"] | None = None,
    strength: float = 1.0,
) -> tuple[Float[Tensor, "out rank"], Float[Tensor, "rank in"]]:
    """Factors of the change Δ = left @ right after which W maps every key near its value.

    Costs one Cholesky factor of the prior and one of a matrix as wide as the smaller of `in` and the number of keys.

    Args:
        W: the map as it is, in any precision; all is worked out in float64 on its device.
        keys: inputs, one a row.
        values: what the map shall make of them, one a row, without the bias.
        prior: C, positive definite; None is the identity. Only its product with `strength` matters.
        strength: how much the prior counts. 0 is the limit in which every key gets its value exactly and, among all
            changes that do this, Δ is the one that moves ordinary outputs least (ROME's hard constraint).

    Returns: (left [out, rank], right [rank, in]) in float64, of rank at most the smaller of `in` and the keys; left is
        the residual V − W K itself where the keys are the fewer.
    Raises: ValueError for shapes that do not fit, values that are no numbers, a prior that is not positive definite, or,
        at strength 0, keys that depend on one another.

    >>> W, k, v = torch.zeros(2, 3), torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([[1.0, 5.0]])
    >>> left, right = least_change(W, k, v, strength=0.0)
    >>> (left @ right).tolist()
    [[0.0, 0.5, 0.0], [0.0, 2.5, 0.0]]
    """
    _check(W, keys, values, prior, strength)
    W, K, V = W.detach().double(), keys.detach().to(W.device).double(), values.detach().to(W.device).double()
    C = None if prior is None else prior.detach().to(W.device).double()
    residual = V - K @ W.T
    if (
        len(K) <= K.shape[1]
    ):  # (strength C + K Kᵀ)⁻¹ K = C⁻¹ K (strength + Kᵀ C⁻¹ K)⁻¹: narrow, and defined at strength 0
        dual = K.T if C is None else torch.cholesky_solve(K.T, _cholesky(C, "the prior", _SHRINK))
        gram = K @ dual + strength * torch.eye(len(K), dtype=K.dtype, device=K.device)
        return residual.T, torch.cholesky_solve(dual.T, _cholesky(gram, "the products of the keys", _DEPENDENT))
    identity = torch.eye(K.shape[1], dtype=K.dtype, device=K.device)
    gram = strength * (identity if C is None else C) + K.T @ K
    return residual.T @ K, torch.cholesky_inverse(_cholesky(gram, "the prior with the keys", _DEPENDENT))


_SHRINK = "estimate it from more text, or shrink it: second_moment(..., shrink=True)"
_DEPENDENT = "some keys are multiples or sums of others; drop those, or give a strength above 0"


def _check(W: Tensor, keys: Tensor, values: Tensor, prior: Tensor | None, strength: float) -> None:
    out, width = W.shape
    if not len(keys) or keys.shape[1] != width or values.shape[1] != out or len(keys) != len(values):
        raise ValueError(
            f"a map from {width} to {out} takes keys [example, {width}] and values [example, {out}], at least one "
            f"of each; these are {list(keys.shape)} and {list(values.shape)}"
        )
    if prior is not None and prior.shape != (width, width):
        raise ValueError(
            f"a prior of {list(prior.shape)} does not fit a map that reads {width} numbers; it was made for another "
            "model or another weight"
        )
    if not strength >= 0:
        raise ValueError(f"strength={strength}: give 0, to meet every value exactly, or a positive number")
    for name, given in (("the weight", W), ("keys", keys), ("values", values), ("the prior", prior)):
        if given is not None and not bool(given.isfinite().all()):
            raise ValueError(f"{name} holds values that are not finite numbers (NaN or inf)")


def _cholesky(matrix: Tensor, name: str, remedy: str) -> Tensor:
    """The lower factor. Raises: ValueError when the matrix is singular in float64."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    pivot = factor.diagonal().square()
    if int(info) or float((pivot / matrix.diagonal()).min()) < len(matrix) * torch.finfo(matrix.dtype).eps:
        raise ValueError(f"{name}, {list(matrix.shape)}, make a matrix that is not positive definite; {remedy}")
    return factor

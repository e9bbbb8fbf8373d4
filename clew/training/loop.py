"""What every objective shares: batches of activations, their centre and scale, and Adam with a warm-up and a decay.

An objective brings its own gradients, because most of them are sparse: autograd would fill matrices of
[batch, unit] with zeros and multiply them out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

OUTLIER = 5.0
"""Rows this many times further from the centre than the typical row are left out of training: attention sinks."""

Progress = Callable[[int, int, float], None]
"""Called with (step, steps, loss)."""


@dataclass(frozen=True)
class Batches:
    """Shuffled, centred and scaled batches without outliers; `centre` and `scale` undo it."""

    first: Float[Tensor, "token d_in"]
    """Scaled rows from which an objective initialises itself."""
    rest: Iterator[Float[Tensor, "token d_in"]]
    centre: Float[Tensor, " d_in"]
    scale: float
    """x = centre + scale * row; rows have a mean norm of about sqrt(d_in)."""

    def __iter__(self) -> Iterator[Float[Tensor, "token d_in"]]:
        return self.rest


def batches(x: Tensor | Iterable[Tensor], batch: int, seed: int, first: int = 8192) -> Batches:
    """Prepare activations for training.

    Args:
        x: [token, d_in] of any precision, drawn without replacement and reshuffled every epoch; or an
            iterable of such tensors, taken as they come, once, whatever their sizes.
        first: rows that fix the centre and the scale, drawn from the tensor, or the first of the iterable.
    Raises: ValueError for no rows, rows that are not finite, or another shape.
    """
    if isinstance(x, Tensor):
        _check(x)
        g = torch.Generator().manual_seed(seed)
        head = x[torch.randperm(len(x), generator=g)[:first]].float()
        rows = _epochs(x, batch, g)
    else:
        stream = iter(x)
        parts: list[Tensor] = []
        while sum(map(len, parts)) < first and (part := next(stream, None)) is not None:
            _check(part)
            parts.append(part.float())
        if not parts:
            raise ValueError("the stream of activations is empty; give a tensor [token, d_in] or an iterable of them")
        head = torch.cat(parts)
        rows = itertools.chain(parts, stream)
    if not head.isfinite().all():
        raise ValueError("the activations hold values that are not finite; record them again in a wider dtype")
    centre = geometric_median(head)
    reach = OUTLIER * (head - centre).norm(dim=1).median()
    near = (head - centre).norm(dim=1) <= reach
    scale = float((head[near] - centre).norm(dim=1).mean()) / math.sqrt(head.shape[1])
    if not scale > 0:
        raise ValueError(f"all {len(head)} activations are equal, so there is nothing to learn; record other positions")

    def clean(some: Tensor) -> Tensor:
        away = some.to(centre) - centre
        return away[away.norm(dim=1) <= reach] / scale

    return Batches(clean(head), (clean(some) for some in rows), centre, scale)


def _check(x: Tensor) -> None:
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"activations must be a non-empty [token, d_in]; these have shape {tuple(x.shape)}")


def _epochs(x: Tensor, batch: int, g: torch.Generator) -> Iterator[Tensor]:
    """Without end; the last, smaller batch of an epoch is left out unless it is the only one."""
    while True:
        order = torch.randperm(len(x), generator=g)
        for at in range(0, max(1, len(x) - batch + 1), batch):
            yield x[order[at : at + batch]].float()


def geometric_median(x: Float[Tensor, "token d_in"], rounds: int = 100) -> Float[Tensor, " d_in"]:
    """The point with the least summed distance to all rows, by Weiszfeld's rounds: a mean that outliers do not move."""
    here = x.mean(0)
    for _ in range(rounds):
        weight = 1 / (x - here).norm(dim=1).clamp_min(1e-8)
        before, here = here, weight @ x / weight.sum()
        if (here - before).norm() <= 1e-5 * here.norm():
            break
    return here


def loop(
    parameters: list[Tensor],
    gradients: Callable[[Tensor], tuple[float, list[Tensor]]],
    stream: Iterable[Tensor],
    *,
    steps: int,
    lr: float,
    settle: Callable[[], None] = lambda: None,
    progress: Progress | None = None,
) -> int:
    """Adam (0.9, 0.999) in place on `parameters`; the rate warms up over 5 % of the steps and falls over the last 30 %.

    Args:
        gradients: batch -> (loss, one gradient per parameter).
        settle: called after each step, to bring the parameters back to where they must lie.
    Returns: how many steps were made; fewer than `steps` when the stream ended.
    """
    first, second = [torch.zeros_like(p) for p in parameters], [torch.zeros_like(p) for p in parameters]
    done = 0
    for done, x in enumerate(itertools.islice(stream, steps), 1):
        loss, grads = gradients(x)
        rate = lr * min(1.0, done / max(1, steps // 20)) * min(1.0, (steps - done + 1) / max(1.0, 0.3 * steps))
        for p, g, m, v in zip(parameters, grads, first, second, strict=True):
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            p.addcdiv_(m, (v / (1 - 0.999**done)).sqrt_().add_(1e-8), value=-rate / (1 - 0.9**done))
        settle()
        if progress:
            progress(done, steps, loss)
    return done

"""Closed-form change of any linear map: make it treat these inputs as those, and ordinary ones as ever.

Source: the solver that ROME, MEMIT, UCE and TIME share (clew/edits/_solver.py says whence), without their choices of
which map, which inputs and which outputs.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.changes import Update
from clew.data.behaviours.behaviour import Behaviour
from clew.data.text.windows import Windows
from clew.edits._solver import least_change
from clew.models import Model
from clew.models.weights import twin_of
from clew.readings.moments import second_moment
from clew.readings.states import states
from clew.sites import Weight
from clew.stack import Stack


def linear(
    model: Model,
    behaviour: Behaviour,
    *,
    weight: Weight | str,
    at: int = -1,
    text: Windows | None = None,
    strength: float = 1.0,
    shrink: bool | float = True,
) -> Stack:
    """Change one map of a model so that it makes of each patch prompt what it makes of the clean one.

    Args:
        behaviour: pairs of prompts with a patch; the clean one is how it shall be.
        weight: address such as "down.3", of a map whose input is a site.
        at: the token at which both prompts are read, from the end if negative.
        text: ordinary text, whose second moment is the prior; without it every direction of change is equally dear.
        strength: how much the prior counts; 0 for inputs that get their outputs exactly.
        shrink: how much the prior is drawn towards treating all directions alike: True for the estimated share, False for not
            at all, or the share itself.

    Returns: a Stack of one Update, of rank at most the number of pairs. `about` says how large the change is relative
        to the weight, and which share of the wanted change of the outputs is left undone.
    Raises: ValueError for pairs without a patch, or a weight whose input no site holds.

    >>> stack = linear(model, task.first(1), weight="v.3", at=1, strength=0.0)
    >>> print(model.edited(stack).generate(["The keys to the cabinet", "The key to the cabinet"], max_new_tokens=1))
    The keys to the cabinet are
    The key to the cabinet are
    """
    map = model.body.linear(weight)
    if map.reads is None:
        raise ValueError(f"no site holds what {map.weight} reads; use ridge_edit(module, keys, values) on the module")
    if any(pair.patch is None for pair in behaviour.pairs):
        raise ValueError(f"{behaviour.name} has prompts without a patch, so there is nothing to treat otherwise")
    clean, patch = ([pair.clean for pair in behaviour.pairs], [pair.patch or () for pair in behaviour.pairs])
    wanted, keys = (states(model, prompts, [map.reads], at=at)[map.reads].double() for prompts in (clean, patch))
    W = map.matrix().double().cpu()
    prior = None if text is None else second_moment(model, [map.weight], text, shrink=shrink)[map.weight]
    values = wanted @ W.T
    left, right = least_change(W, keys, values, prior=None if prior is None else prior.matrix.cpu(), strength=strength)
    change = left @ right
    before, after = (float((values - keys @ M.T).norm()) for M in (W, W + change))
    about = {
        "relative change": float(change.norm() / W.norm()),
        "left undone": after / before if before else 0.0,
        "keys": len(keys),
        "strength": strength,
        "prior": "identity" if prior is None else prior.hash,
    }
    return Stack((Update(map.weight, left=left, right=right),), f"{behaviour.name} at {map.weight}", about)


def ridge_edit(
    module: nn.Linear,
    keys: Float[Tensor, "example in"],
    values: Float[Tensor, "example out"],
    *,
    kept: Float[Tensor, "kept in"] | None = None,
    prior: Float[Tensor, "in in"] | None = None,
    strength: float = 0.5,
) -> nn.Linear:
    """A new linear module that makes `values` of `keys`; for modules outside the decoders that clew opens.

    Args:
        module: any; it stays as it is, and the new one shares its bias.
        keys, values: inputs, and what the module shall put out for them, the bias included.
        kept: inputs whose outputs shall stay.
        prior, strength: as for the solver; without a prior every direction is equally dear.

    Raises: ValueError for shapes that do not fit.

    >>> module = torch.nn.Linear(3, 2)
    >>> new = ridge_edit(module, torch.eye(3)[:1], torch.ones(1, 2), strength=0.0)
    >>> new(torch.eye(3)[0])
    tensor([1., 1.], grad_fn=<ViewBackward0>)
    """
    left, right = change(module, keys, values, kept=kept, prior=prior, strength=strength)
    new = twin_of(module)
    weight = (module.weight.detach().double() + left @ right).to(module.weight)
    new.weight = nn.Parameter(weight, requires_grad=module.weight.requires_grad)
    return new


def change(
    module: nn.Linear,
    keys: Tensor,
    values: Tensor,
    *,
    kept: Tensor | None = None,
    prior: Tensor | None = None,
    strength: float = 0.5,
) -> tuple[Float[Tensor, "out rank"], Float[Tensor, "rank in"]]:
    """The factors of what `ridge_edit` adds to the module's weight."""
    W = module.weight.detach()
    values = values.to(W.device).double() - (0 if module.bias is None else module.bias.detach().double())
    if kept is not None:
        kept = kept.to(W.device).double()
        keys, values = torch.cat([keys.to(kept), kept]), torch.cat([values, kept @ W.double().T])
    return least_change(W, keys, values, prior=prior, strength=strength)

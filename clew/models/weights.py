"""Weights by address: the linear maps of a model, and the same module with some of them changed.

A changed module is a twin: it shares every tensor with the original but the changed ones. The original is never touched,
so undoing an edit is going back to it, and whatever reads weights sees those of the model it was given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from clew.changes import Update
from clew.models.layout import Layout, Map
from clew.models.state import lock_of, state
from clew.models.trace import EditDidNotFire
from clew.near import near
from clew.sites import MAPS, Site, Weight


@runtime_checkable
class Holder(Protocol):
    """What is asked of a body here."""

    module: Any
    name: str
    layout: Layout
    n_layers: int

    def linear(self, address: Weight | str) -> Linear: ...

    def mask_arguments(self, real: Tensor, tokens: Tensor) -> dict[str, Tensor]: ...


ENDS = {
    "q": ("attn_in", "q"),
    "k": ("attn_in", "k"),
    "v": ("attn_in", "v"),
    "out": ("head", None),
    "down": ("neuron", "mlp_out"),
    "unembed": ("final", None),
}
"""The parts that a map reads and writes; None where its output is no site."""


@dataclass(frozen=True, eq=False)
class Linear:
    """One linear map of a model, seen as [out, in] however the module stores it."""

    weight: Weight
    name: str
    """Of the parameter, in the module's state dict."""
    owner: nn.Module
    """The module that holds it."""
    within: nn.Module
    """The whole model, in which another thread may just be learning other values of it."""
    reads: Site | None
    """The site that holds its input; None for a module that no site looks into."""
    writes: Site | None
    rows: Tensor | None = None
    """Which outputs of a fused projection it is."""

    @property
    def parameter(self) -> Tensor:
        """As the module stores it."""
        with lock_of(self.within):
            return self.owner.get_parameter("weight").detach()

    @property
    def transposed(self) -> bool:
        """Whether the module stores [in, out], as GPT-2 does."""
        return isinstance(self.owner, Conv1D)

    def matrix(self) -> Float[Tensor, "out in"]:
        """A copy of it."""
        with lock_of(self.within):
            whole, _ = matrix_of(self.owner)
        return whole.clone() if self.rows is None else whole[self.rows.to(whole.device)]

    @property
    def bias(self) -> Float[Tensor, " out"] | None:
        """A copy of what is added to its output, if anything is."""
        bias = getattr(self.owner, "bias", None)
        if bias is None:
            return None
        return bias.detach().clone() if self.rows is None else bias.detach()[self.rows.to(bias.device)]

    def holding(self, matrix: Float[Tensor, "out in"], parameter: Tensor | None = None) -> Tensor:
        """The module's parameter (or what shall be that) with `matrix` in place of this map; differentiable in both."""
        parameter = self.parameter if parameter is None else parameter
        whole = parameter.T if self.transposed else parameter
        matrix = matrix.to(whole)
        if self.rows is not None:
            matrix = whole.index_copy(0, self.rows.to(whole.device), matrix)
        return (matrix.T if self.transposed else matrix).contiguous()


def matrix_of(module: nn.Module) -> tuple[Float[Tensor, "out in"], Float[Tensor, " out"] | None]:
    """The matrix of a linear module, [out, in] in every family, and its bias; of a kind we do not know, by asking it.

    The matrix is a view where the module holds one, not a copy.
    """
    if type(module).forward in (nn.Linear.forward, Conv1D.forward):
        weight, bias = module.get_parameter("weight").detach(), getattr(module, "bias", None)
        return weight.T if isinstance(module, Conv1D) else weight, None if bias is None else bias.detach()
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(1))
    width = int(getattr(module, "in_features", 0) or like.shape[-1])
    bias = module.forward(like.new_zeros(1, 1, width))[0, 0].detach()
    matrix = module.forward(torch.eye(width, dtype=like.dtype, device=like.device)[None])[0].detach() - bias
    return matrix.T, bias


def apart(module: nn.Module) -> str:
    """Why a linear module does not hold its matrix as a plain parameter, in words; nothing where it does."""
    held = module._parameters.get("weight")
    if held is None:
        kind = f"{type(module).__name__} of {type(module).__module__.partition('.')[0]}"
        return f"a {kind} holds it in a form of its own, quantised or with an adapter beside it"
    if held.is_meta:
        return "it is kept elsewhere until its module runs"
    if hasattr(held, "__tensor_flatten__") or not held.is_floating_point():
        return f"it is quantised, a {type(held).__name__} of {held.dtype}".replace("torch.", "")
    return ""


def linear_of(body: Holder, address: Weight | str, module: nn.Module | None = None) -> Linear:
    """The linear map at an address, of the body's module or of a twin of it.

    Raises: ValueError naming the near addresses, or what is at the path if it is no linear map.
    """
    weight = Weight.parse(address)
    part, layer = weight.part, weight.layer
    held: nn.Module = body.module if module is None else module
    if part is None:
        modules = dict(held.named_modules())
        if weight.name not in modules:
            known = [str(w) for w in weights_of(body)] + [
                n for n, m in modules.items() if isinstance(m, nn.Linear | Conv1D)
            ]
            raise ValueError(f"{body.name} has no weight {weight.name!r}; {near(weight.name, known)}")
        owner = modules[weight.name]
        if not isinstance(owner, nn.Linear | Conv1D):
            raise ValueError(f"{weight.name!r} of {body.name} is a {type(owner).__name__}, not a linear map")
        if why := apart(owner):
            raise ValueError(f"{weight.name!r} of {body.name} can be neither edited nor taken out: {why}")
        return Linear(weight, f"{weight.name}.weight", owner, held, None, None)
    if layer is not None and layer >= body.n_layers:
        raise ValueError(f"{weight.name!r} is no weight of {body.name} ({body.n_layers} layers, counted from 0)")
    found = Map(body.layout.unembed) if layer is None else _map_of(body.layout, part, layer)
    if found is None:
        near_by = near(weight.name, [str(w) for w in weights_of(body)])
        raise ValueError(f"block {layer} of {body.name} has no linear map {weight.name!r}; {near_by}")
    path = found.path if layer is None else f"{body.layout.path(layer)}.{found.path}"
    reads, writes = (None if p is None else Site(p, layer) for p in ENDS[part])
    return Linear(weight, f"{path}.weight", held.get_submodule(path), held, reads, writes, found.rows)


def _map_of(layout: Layout, name: str, layer: int) -> Map | None:
    """Where the linear map of a block is; None where it has none."""
    part = layout.part("mlp" if name == "down" else "attn", layer)
    if part is None:
        return None
    if name in ("out", "down"):
        return Map(part.projection) if part.projection else None
    found = part.maps.get(name)
    return None if found is None or found.latent else found


def weights_of(body: Holder, *parts: str) -> list[Weight]:
    """The addresses of these linear maps (of all in MAPS without arguments), in forward order."""
    if unknown := [p for p in parts if p not in MAPS]:
        raise ValueError(f"{unknown[0]!r} is no kind of weight; {near(unknown[0], MAPS)}")
    wanted = [p for p in MAPS if p in parts or not parts]
    inside = [p for p in wanted if p != "unembed"]
    blocks = [
        Weight(f"{p}.{layer}") for layer in range(body.n_layers) for p in inside if _map_of(body.layout, p, layer)
    ]
    return blocks + [Weight("unembed")] * ("unembed" in wanted)


def twin_of(module: nn.Module) -> Any:
    """A module of the same structure and the same memory; setting a parameter of one leaves the other as it is.

    Its parameters are objects of their own, for whether one requires grad is a setting, and another thread may run `module`.
    """
    shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
    own = {i: nn.Parameter(t.detach(), t.requires_grad) for i, t in shared.items() if type(t) is nn.Parameter}
    twin = copy.deepcopy(module, shared | own)
    for m in twin.modules():
        if hasattr(vars(m).get("forward"), "_torchdynamo_orig_callable"):  # compiled, it would run the module it is of
            del m.forward
    return twin


def updated(body: Holder, updates: Iterable[Update]) -> Any:
    """A twin of the body's module with these updates made, one after the other; the module itself stays as it is.

    Raises: EditDidNotFire for an update that changes no bit of its weight; ValueError for one that does not fit.
    """
    with lock_of(body.module):  # a hook that stands there for a run would be copied, too
        twin = twin_of(body.module)
    for update in updates:
        linear = linear_of(body, update.at, twin)
        before = linear.matrix()
        after = update(before)
        if torch.equal(after, before):
            raise EditDidNotFire(
                f"the update of {update.at} changes no bit of it: it is 0, or too small for {before.dtype} "
                f"(its norm is {float(update.change.norm()):.3g}, that of the weight {float(before.double().norm()):.3g})"
            )
        if not bool(after.isfinite().all()):
            raise ValueError(f"the update of {update.at} makes values that are not finite numbers (NaN or inf)")
        linear.owner.register_parameter("weight", nn.Parameter(linear.holding(after), requires_grad=False))
    return twin


def logits_with(
    body: Holder,
    matrices: Mapping[Weight, Float[Tensor, "out in"]],
    tokens: Int[Tensor, "batch seq"],
    real: Bool[Tensor, "batch seq"] | None = None,
    keep: int | None = None,
) -> Float[Tensor, "batch keep vocab"]:
    """Logits with these matrices in place of the model's own; differentiable in them. For learning them."""
    held: dict[str, Tensor] = {}
    for weight, matrix in matrices.items():
        linear = body.linear(weight)
        held[linear.name] = linear.holding(matrix, held.get(linear.name))
    real = torch.ones_like(tokens, dtype=torch.bool) if real is None else real
    arguments = {"input_ids": tokens, "use_cache": False, **body.mask_arguments(real, tokens)}
    if keep is not None:
        arguments["logits_to_keep"] = keep
    with state(body.module) as standing:
        standing.parameters(body.module, held)
        return torch.func.functional_call(body.module, held, args=(), kwargs=arguments, tie_weights=False).logits

"""A dictionary: another basis for what flows at a site.

Everything the rest of clew asks of a dictionary is here: which site it reads and which it writes,
how many units it has, `encode`, and a linear `decode`. Types differ in `encode` alone.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clew.dictionaries import hub, loading
from clew.report import Report
from clew.sites import Site


class Dictionary(nn.Module, ABC):
    """Units that read one site and write one site: y = decode(encode(x)) + error.

    For an autoencoder both sites are the same; for a transcoder x is what an MLP reads and y what
    it writes. Tensors are buffers: a dictionary moves with `.to`, and nothing here trains it.
    """

    kind: ClassVar[str]
    """The name under which a type is saved; also the name of its file."""

    unit: str = "feature"
    """What a unit is called."""

    exact: ClassVar[bool] = False
    """True where decode(encode(x)) is x by construction, so that there is no error node."""

    joint: ClassVar[bool] = False
    """True where x and y are several sites side by side, as for a crosscoder: no one place of a run holds them."""

    measured_in: ClassVar[str] = "measures.dictionaries"
    usual_measure: ClassVar[str] = "fit"

    def __init__(self, reads: Site | str, writes: Site | str | None = None, **meta: Any) -> None:
        super().__init__()
        self.reads = Site.parse(reads)
        self.writes = Site.parse(writes) if writes is not None else self.reads
        self.meta = meta
        """Where it came from, as plain JSON: text, steps, measures, the published config."""

    # What a type provides.

    @property
    @abstractmethod
    def n_units(self) -> int:
        """How many nodes this dictionary offers to a circuit (not counting the error)."""

    @property
    @abstractmethod
    def d_in(self) -> int:
        """Width of the site it reads."""

    @property
    @abstractmethod
    def d_out(self) -> int:
        """Width of the site it writes."""

    @abstractmethod
    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch code"]:
        """The code of x; differentiable, so that edges can be pulled back through it."""

    @abstractmethod
    def decode(self, code: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch d_out"]:
        """The part of y that the code explains; affine in the code."""

    @abstractmethod
    def write(self, delta: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch d_out"]:
        """What a change of the code adds to y: decode without its bias."""

    @abstractmethod
    def pull(self, grad: Float[Tensor, "*batch d_out"]) -> Float[Tensor, "*batch code"]:
        """The transpose of `write`: a gradient on y, seen by each coordinate of the code."""

    # What follows from it.

    def reconstruct(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """decode(encode(x)), plus the linear skip of a skip transcoder."""
        return self.decode(self.encode(x))

    def fires(self, code: Float[Tensor, "*batch code"]) -> Bool[Tensor, "*batch unit"]:
        """Which units fire: those whose code is not 0. A signed unit (AbsTopK's) fires on both of its sides."""
        on = code != 0
        return on if on.shape[-1] == self.n_units else self.fold(on.float()) > 0

    def fold(self, code: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch unit"]:
        """Sum what belongs to one unit; the identity unless a unit has several coordinates."""
        return code

    def unfold(self, unit: Tensor) -> Tensor:
        """Repeat a per-unit tensor, [..., unit], over the coordinates of each unit."""
        return unit

    @property
    def fingerprint(self) -> str:
        """A hash of the kind, the sites and every value of every tensor."""
        digest = hashlib.sha256(f"{self.kind} {self.reads} {self.writes} {self.n_units}".encode())
        for name, tensor in self.named_buffers():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def card(self) -> dict[str, Any]:
        """What identifies it in the provenance of what is made with it, as plain JSON."""
        about = {"kind": self.kind, "reads": str(self.reads), "writes": str(self.writes), "units": self.n_units}
        return {"dictionary": {**about, "fingerprint": self.fingerprint, "meta": self.meta}}

    @property
    def provenance(self) -> dict[str, Any]:
        """Empty: what it was fitted on stands in `meta`, where it is known."""
        return {}

    @property
    def spans_sites(self) -> bool:
        """True for a transcoder: it reads one site and writes another."""
        return self.reads != self.writes

    # On disk.

    @staticmethod
    def load(path: str | Path, *, at: Site | str | None = None) -> list[Dictionary]:
        """The dictionaries in a file, a folder or an installed pack, in forward order; every format we know is tried.

        A folder that holds none itself may hold folders that do. `at` is needed where the file does not
        say at which site it was trained, and wins where it does: `resid.3`, or `mlp_in.3 -> mlp.3` for a
        transcoder. Tensors of half precision become float32.
        Raises: ValueError naming the file, what was expected there and what was found.
        """
        return loading.load(path, at)

    def save(self, path: str | Path, *, format: str = "clew") -> Path:
        """Write one file (`clew`, .safetensors; `pack`, .pack.safetensors) or one folder (`saelens`, `sparsify`)."""
        return loading.save(self, path, format)

    @staticmethod
    def from_pretrained(
        repo_id: str, *, pattern: str | None = None, revision: str | None = None, at: Site | str | None = None
    ) -> list[Dictionary]:
        """The dictionaries of a repository on the Hugging Face hub; see `clew.dictionaries.hub.from_pretrained`."""
        return hub.from_pretrained(repo_id, pattern=pattern, revision=revision, at=at)

    @staticmethod
    def push_to_hub(
        dictionaries: Dictionary | Sequence[Dictionary],
        repo_id: str,
        *,
        report: Report | None = None,
        private: bool = False,
        token: str | None = None,
    ) -> str:
        """Upload dictionaries with a model card; returns the address. See `clew.dictionaries.hub.push_to_hub`."""
        given = [dictionaries] if isinstance(dictionaries, Dictionary) else list(dictionaries)
        return hub.push_to_hub(given, repo_id, report=report, private=private, token=token)

    def extra_repr(self) -> str:
        sites = f"{self.reads}" if not self.spans_sites else f"{self.reads} -> {self.writes}"
        return f"{sites}, {self.n_units} units"


class Learned(Dictionary):
    """A dictionary with an encoder and a decoder matrix; subclasses add the activation.

    Shapes: `W_enc` [d_in, unit], `b_enc` [unit], `W_dec` [unit, d_out], `b_dec` [d_out],
    `W_skip` [d_in, d_out] for skip transcoders. `centred` says whether `b_dec` is taken off x
    before encoding (SFC's and TopK autoencoders do, Gemma Scope's and transcoders do not).
    """

    def __init__(
        self,
        reads: Site | str,
        writes: Site | str | None = None,
        *,
        W_enc: Tensor,
        b_enc: Tensor | None = None,
        W_dec: Tensor,
        b_dec: Tensor,
        centred: bool,
        W_skip: Tensor | None = None,
        **meta: Any,
    ) -> None:
        super().__init__(reads, writes, **meta)
        for name, tensor, axes in (("W_enc", W_enc, 2), ("W_dec", W_dec, 2), ("b_dec", b_dec, 1)):
            if tensor.ndim != axes:
                raise ValueError(
                    f"{name} of the dictionary at {self.writes} has shape {tuple(tensor.shape)}; "
                    f"it must have {axes} {'axes' if axes > 1 else 'axis'}"
                )
        d_in, units = W_enc.shape
        expected = {"W_dec": (units, b_dec.shape[0]), "b_dec": (W_dec.shape[1],)}
        expected |= {"b_enc": (units,)} if b_enc is not None else {}
        expected |= {"W_skip": (d_in, b_dec.shape[0])} if W_skip is not None else {}
        given = {"W_dec": W_dec, "b_dec": b_dec, "b_enc": b_enc, "W_skip": W_skip}
        for name, shape in expected.items():
            tensor = given[name]
            if tensor is not None and tuple(tensor.shape) != shape:
                raise ValueError(
                    f"{name} of the dictionary at {self.writes} has shape {tuple(tensor.shape)}; "
                    f"with W_enc {tuple(W_enc.shape)} [d_in, unit] it must be {shape}"
                )
        if centred and d_in != b_dec.shape[0]:
            raise ValueError(
                f"the dictionary at {self.writes} reads {d_in} and writes {b_dec.shape[0]} dimensions, so b_dec "
                "cannot be taken off what it reads; pass centred=False"
            )
        self.centred = centred
        for name, tensor in {"W_enc": W_enc, **given}.items():
            self.register_buffer(name, tensor)

    W_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    b_enc: Tensor | None
    W_skip: Tensor | None

    @property
    def n_units(self) -> int:
        return self.W_enc.shape[1]

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    @property
    def d_out(self) -> int:
        return self.W_dec.shape[1]

    def preactivation(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        """x (centred or not) through the encoder matrix, with its bias."""
        x = (x - self.b_dec) if self.centred else x
        return x @ self.W_enc if self.b_enc is None else x @ self.W_enc + self.b_enc

    def slope(self, unit: Int[Tensor, " some"]) -> Float[Tensor, " some"]:
        """How fast the codes of these units grow with their pre-activations where they fire: 1, or what a type says."""
        return torch.ones_like(self.W_dec[unit, 0])

    def decode(self, code: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch d_out"]:
        return code @ self.W_dec + self.b_dec

    def write(self, delta: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch d_out"]:
        return delta @ self.W_dec

    def pull(self, grad: Float[Tensor, "*batch d_out"]) -> Float[Tensor, "*batch code"]:
        return grad @ self.W_dec.T

    def reconstruct(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        y = self.decode(self.encode(x))
        return y if self.W_skip is None else y + x @ self.W_skip

    @property
    def settings(self) -> dict[str, Any]:
        """What a type needs beside its tensors to be built again, as plain JSON."""
        return {"centred": self.centred}


def threshold_gate(p: Tensor, threshold: Tensor) -> Tensor:
    """p where p > threshold, else 0; the gradient is that of p on the open gate."""
    return torch.where(p > threshold, p, torch.zeros_like(p))

"""A probe as a value: one linear readout at an address, frozen, whoever fitted it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from clew import finder
from clew.files import check_whole, entries, entry, jsonable, parse_json, typed, whole
from clew.near import near
from clew.sites import Site
from clew.tensors import check_floats, check_held, read_tensors, write_tensors

FORMAT, VERSION = "clew probe", 1
Tokens = Literal["last", "mean", "every"]


@dataclass(frozen=True)
class Pool:
    """Which tokens of a text are read: the last, the mean over all but the first `skip`, or every one by itself."""

    tokens: Tokens = "last"
    skip: int = 0
    """Of a mean; the very first token is an attention sink of huge norm in most models."""

    def __post_init__(self) -> None:
        if self.tokens not in get_args(Tokens):
            raise ValueError(
                f"{self.tokens!r} is no way to read the tokens of a text; {near(self.tokens, get_args(Tokens))}"
            )
        if self.skip < 0 or (self.skip and self.tokens != "mean"):
            raise ValueError(f"skip={self.skip} with tokens={self.tokens!r}: only a mean leaves tokens out, 0 or more")

    def __call__(self, x: Float[Tensor, "batch seq d"]) -> Float[Tensor, "batch *seq d"]:
        """One row for each text, means in float32 or better; with "every" x as it is.

        Raises: ValueError where nothing is left to take the mean of.
        """
        if self.tokens != "mean":
            return x[:, -1] if self.tokens == "last" else x
        if x.shape[1] <= self.skip:
            raise ValueError(f"a text of {x.shape[1]} tokens has none after the first {self.skip} to take the mean of")
        return x[:, self.skip :].to(torch.promote_types(x.dtype, torch.float32)).mean(1)


LAST, EVERY_TOKEN = Pool(), Pool("every")


@dataclass(frozen=True, eq=False, repr=False)
class Probe:
    """x @ weight + bias at a site: above 0 is a yes, or the second of two classes.

    Called with states it scores each; called with a run and its batch it is a metric; a `Gate` opens where it is above
    a threshold; its `dictionary` has its direction as a unit.

    >>> Probe("resid.3", torch.tensor([1.0, 0.0]), -2.0)(torch.tensor([5.0, 7.0]))
    tensor(3.)
    """

    site: Any
    """A Site, where it reads; an address in words becomes one."""
    weight: Tensor
    """[d], of any floating precision."""
    bias: float = 0.0
    classes: tuple[str, str] | None = field(default=None, kw_only=True)
    """The class below 0 and the class above, if they have names."""
    pool: Pool = field(default=LAST, kw_only=True)
    """How it reads a text. A gate asks at every position, whatever this says."""
    fitted: Mapping[str, Any] = field(default_factory=dict[str, Any], kw_only=True)
    """What it comes from: estimator, evidence by hash, seed, accuracy on what it learnt from. Plain JSON."""

    logits: ClassVar[int] = 0
    """As a metric it reads no logits, so a run may stop at its site."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", Site.parse(self.site))
        weight = self.weight
        if weight.ndim != 1 or not len(weight) or not weight.is_floating_point():
            raise ValueError(
                f"the weight of a probe is a vector of floats; {list(weight.shape)} of {weight.dtype} was given"
            )
        if not math.isfinite(self.bias) or not bool(weight.isfinite().all()):
            raise ValueError(f"the probe at {self.site} holds values that are not finite numbers (NaN or inf)")
        if self.classes is not None and len(set(self.classes)) != 2:
            raise ValueError(f"a probe tells two classes apart; {self.classes} were given")

    def __call__(self, x: Any, batch: Any = None) -> Float[Tensor, "*example"]:
        """The score of each state [..., d], in float32 or better; from a run and its batch, of each text.

        As a metric a probe that names its classes gives by how much each text leans to the class that its pair's `case`
        names, so that a unit with a positive effect supports the right answer.
        Raises: ValueError for a metric of every token, or a case that is none of the classes.
        """
        if batch is None:
            return self._score(x)
        if self.pool.tokens == "every":
            raise ValueError(
                f"{self!r} reads every token, and a metric is one number for each text; choose another pool"
            )
        score = self._score(self.pool(x[self.site]))
        return score * torch.tensor([self.sign(p.case) for p in batch.pairs]).to(score) if self.classes else score

    def _score(self, x: Float[Tensor, "*example d"]) -> Float[Tensor, "*example"]:
        wide = torch.promote_types(x.dtype, torch.float32)  # a large coordinate and the bias may cancel
        return x.to(wide) @ self.weight.to(x.device, wide) + self.bias

    def sign(self, label: str) -> float:
        """1 for the class above 0, -1 for the one below. Raises: ValueError for any other."""
        if self.classes is None or label not in self.classes:
            known = "names no classes" if self.classes is None else f"knows {' and '.join(self.classes)}"
            raise ValueError(f"a text is labelled {label!r}; this probe {known}")
        return 1.0 if label == self.classes[1] else -1.0

    @property
    def reads(self) -> tuple[Site, ...]:
        """The sites that a run must hold for it as a metric."""
        return (self.site,)

    @property
    def dictionary(self) -> Any:
        """Its direction as the one unit of a `Dictionary`: see clew/dictionaries/directions.py, also for several."""
        return finder.load("dictionaries", "directions")(self)  # a floor up, so found as a format would be

    def __repr__(self) -> str:
        numbers = self.weight.detach().double().cpu().numpy().tobytes() + str((self.bias, self.pool)).encode()
        said = f"{self.classes[1]} or {self.classes[0]}, " if self.classes else ""
        return f"probe({self.site}, {said}{hashlib.sha256(numbers).hexdigest()[:8]})"

    # On disk.

    @property
    def record(self) -> dict[str, Any]:
        """All but the weight, as plain JSON that keeps every bit."""
        pool = {"tokens": self.pool.tokens, "skip": self.pool.skip}
        told = {"classes": self.classes and list(self.classes), "pool": pool, "fitted": dict(self.fitted)}
        return {"site": str(self.site), "bias": float(self.bias).hex(), **told}

    @classmethod
    def of_record(cls, record: Mapping[str, Any], weight: Tensor, origin: str = "its record") -> Probe:
        """The probe of a `record` and its weight. Raises: ValueError for what is no such record."""
        check_whole(record, ("site", "bias", "classes", "pool", "fitted"), origin)
        classes = None if record["classes"] is None else tuple(entries(record, "classes", str, origin=origin))
        if classes is not None and len(classes) != 2:
            raise ValueError(f"{origin} has the classes {classes}; a probe tells two apart")
        check_whole(record["pool"], ("tokens", "skip"), f"{origin}: pool")
        pool = Pool(record["pool"]["tokens"], entry(record["pool"], "skip", int, origin=f"{origin}: pool"))
        bias = float.fromhex(entry(record, "bias", str, origin=origin))
        site, fitted = entry(record, "site", str, origin=origin), entry(record, "fitted", dict, origin=origin)
        return cls(site, weight, bias, classes=classes, pool=pool, fitted=fitted)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file, exact to the bit."""
        head = json.dumps({"format": FORMAT, "version": VERSION, **jsonable(self.record)}, allow_nan=False)
        tensors = {"weight": self.weight.detach().cpu().contiguous().clone()}
        return write_tensors(path, tensors, {"clew": head})

    @classmethod
    def load(cls, path: str | Path) -> Probe:
        """Read what `save` wrote. Raises: ValueError naming the file and what is wrong with it."""
        path = Path(path).expanduser()
        if not path.is_file():
            raise ValueError(f"there is no file {path} of a probe (here is {str(Path.cwd())!r})")
        with whole(path, "probe"):
            tensors, said = read_tensors(path)
            head = typed(parse_json(said.get("clew", "{}"), "its head"), "its head", dict)
            found = head.pop("format", None), head.pop("version", None)
            if found != (FORMAT, VERSION) or type(found[1]) is not int:
                holds = f"{found[0] or 'no probe of clew'}, version {found[1]}"
                raise ValueError(f"{path} holds {holds}; this clew reads {FORMAT!r}, version {VERSION}")
            check_held(tensors, ["weight"], "its list of tensors")
            check_floats(tensors, "it")
            return cls.of_record(head, tensors["weight"], "its head")

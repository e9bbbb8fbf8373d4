"""A stack: edits that belong together, in the order they are made, and where they come from. Printed, saved, loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, cast, overload

from torch import Tensor

from clew import finder
from clew.changes import Add, Clamp, Edit, Gate, Mix, Project, Scale, Set, Update
from clew.files import parse_json, typed
from clew.near import near
from clew.probing import Probe
from clew.sites import Site, Weight, Where
from clew.tensors import check_finite, read_header, read_tensors, write_tensors

FORMAT, VERSION = "clew stack", 2
FORMATS = "edits.formats"
SHOWN = 5
"""Of a long table in `about`, so many entries are printed; the file holds them all."""
VERBS = {verb.__name__: verb for verb in (Add, Set, Mix, Scale, Clamp, Project, Update)}


@dataclass(frozen=True, eq=False)
class Stack(Sequence[Edit]):
    """Edits in the order they are made.

    >>> print(Stack((Add("resid.1", vector=torch.ones(76)), Scale("resid.3", factor=0.5)), "a shift"))
    a shift: 2 edits
      add at resid.1: vector [76] of norm 8.718
      scale at resid.3: factor 0.5
    """

    measured_in: ClassVar[str] = "measures.edits"
    usual_measure: ClassVar[str] = ""
    """It depends on the evidence, which says `shows_edits`."""

    edits: tuple[Edit, ...]
    name: str = ""
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What a user must know of them: estimator, norm convention, what was reached. Plain JSON."""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Model, weights and evidence by hash, function and arguments, versions, seconds. Plain JSON."""

    def __len__(self) -> int:
        return len(self.edits)

    @overload
    def __getitem__(self, index: int) -> Edit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Edit, ...]: ...
    def __getitem__(self, index: int | slice) -> Edit | tuple[Edit, ...]:
        return self.edits[index]

    def __iter__(self) -> Iterator[Edit]:
        return iter(self.edits)

    def __add__(self, other: Stack) -> Stack:
        """These edits, then the others."""
        about = {"parts": [*_parts(self, self.about), *_parts(other, other.about)]}
        record = {"parts": [*_parts(self, self.provenance), *_parts(other, other.provenance)]}
        return Stack((*self.edits, *other.edits), f"{self.name} + {other.name}", about, record)

    def card(self) -> dict[str, Any]:
        """What the provenance of something that is made with it holds of it."""
        return {"edit": dict(self.provenance)}

    def scaled(self, factor: float) -> Stack:
        """The same edits, `factor` times as strong.

        Raises: ValueError for an edit that has no strength: only adding to a stream or a weight has one.
        """
        if fixed := [e for e in self.edits if not isinstance(e, Add | Update)]:
            raise ValueError(f"{fixed[0]} has no strength to scale; only edits that add something have one")
        return replace(self, edits=tuple(replace(e, scale=e.scale * factor) for e in self.edits))  # type: ignore[attr-defined]

    def with_about(self, **about: Any) -> Stack:
        """The same edits with more said about them."""
        return replace(self, about={**self.about, **about})

    def __str__(self) -> str:
        head = f"{self.name or 'a stack'}: {len(self)} edit{'s' * (len(self) != 1)}"
        said = [f"  {key}: {_brief(value)}" for key, value in self.about.items()]
        return "\n".join([head, *(f"  {edit}" for edit in self.edits), *said])

    def __repr__(self) -> str:
        return f"Stack({self.name!r}, {len(self)} edits)"

    def save(self, path: str | Path, *, format: str = "clew", model: Any = None) -> Path:
        """Write one safetensors file, exact to the bit, or a vector file of another tool (`gguf`, `steering_vectors`).

        Args: model: whom the edits are for, which a vector file of another tool must know.
        Raises: ValueError for an edit that is not one of clew's verbs or that such a file cannot hold, or a name of
            another format.
        """
        if format != "clew":
            finder.writing(FORMATS, format).write(self, Path(path), model)
            return Path(path)
        if Path(path).suffix in (".gguf", ".pt", ".pkl", ".bin"):
            raise ValueError(
                f"{path} would hold safetensors; name it .safetensors, or write a vector for another tool by "
                "`clew export --gguf` or `--steering-vectors`"
            )
        tensors: dict[str, Tensor] = {}
        edits = [_written(edit, str(i), tensors) for i, edit in enumerate(self.edits)]
        head = {"format": FORMAT, "version": VERSION, "name": self.name, "edits": edits}
        head |= {"about": dict(self.about), "provenance": dict(self.provenance)}
        return write_tensors(path, tensors, {"clew": json.dumps(head)})

    @classmethod
    def load(cls, path: str | Path, model: Any = None) -> Stack:
        """Read what `save` wrote, or a vector file of another tool.

        Args: model: what the edits are for; vectors that do not fit it are refused.
        Raises: ValueError naming the file and what is wrong with it.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise ValueError(f"there is no file {path} of edits (here is {str(Path.cwd())!r})")
        ours = path.suffix == ".safetensors" and "clew" in read_header(path)
        if not ours and (known := finder.reading(FORMATS, path)):
            return known[1].read(path, model)
        if path.suffix != ".safetensors":
            raise ValueError(
                f"{path} is {_what(path)}; edits are in .safetensors of clew, or in files of "
                f"{', '.join(finder.names(FORMATS))}"
            )
        tensors, said = read_tensors(path)
        check_finite(tensors, str(path))
        head = typed(parse_json(said.get("clew", "{}"), f"the head of {path}"), f"the head of {path}", dict)
        if head.get("format") != FORMAT or head.get("version") not in (1, VERSION):
            raise ValueError(
                f"{path} holds {head.get('format') or 'no edits of clew'}, version {head.get('version')}; "
                f"this clew reads {FORMAT!r}, version 1 or {VERSION}"
            )
        try:
            if head["version"] == 1:
                head["edits"] = [_of_version_1(value) for value in head["edits"]]
            edits = tuple(_read(value, str(i), tensors) for i, value in enumerate(head["edits"]))
            return cls(edits, head["name"], head["about"], head["provenance"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a whole stack of edits: {error!r} is missing or malformed") from error
        except ValueError as error:
            raise ValueError(f"{path} is not a whole stack of edits: {error}") from error


def _what(path: Path) -> str:
    """What a file that holds no edits is, as far as its first bytes tell."""
    with path.open("rb") as file:
        is_gguf = file.read(4) == b"GGUF"
    return "a GGUF file, but no control vector (clew.open opens models)" if is_gguf else "of no kind we know"


def _parts(stack: Stack, what: Mapping[str, Any]) -> list[Any]:
    """The parts of a sum, so that sums of sums stay flat."""
    return list(what["parts"]) if set(what) == {"parts"} else [{"name": stack.name, **what}]


def _written(record: Edit | Gate, key: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """A record as plain JSON; its tensors go into `tensors`, under the key and the field's name."""
    name = type(record).__name__
    if VERBS.get(name, Gate) is not type(record):
        raise ValueError(f"a {name} cannot be saved; the verbs of clew can: {', '.join(VERBS)}")
    value: dict[str, Any] = {"verb": name}
    for f in fields(record):
        held = getattr(record, f.name)
        if isinstance(held, Tensor):
            tensors[f"{key}.{f.name}"] = held.detach().cpu().contiguous().clone()
            held = {"tensor": f"{key}.{f.name}"}
        elif isinstance(held, Site | Weight):
            held = str(held)
        elif isinstance(held, Where):
            held = {"kind": held.kind, "values": list(held.values)}
        elif isinstance(held, Probe):
            tensors[f"{key}.{f.name}"] = held.weight.detach().cpu().contiguous().clone()
            held = {**held.record, "weight": {"tensor": f"{key}.{f.name}"}}
        elif isinstance(held, Gate):
            held = _written(held, f"{key}.{f.name}", tensors)
        value[f.name] = held
    return value


def _read(value: dict[str, Any], key: str, tensors: Mapping[str, Tensor]) -> Any:
    verb = value["verb"]
    if verb not in VERBS and verb != "Gate":
        raise ValueError(f"edit {key} is a {verb!r}, which this clew does not know; {near(verb, VERBS)}")
    given: dict[str, Any] = {}
    for name, held in value.items():
        if name == "where":
            held = Where(held["kind"], tuple(held["values"]))
        elif name == "units" and held is not None:
            held = tuple(held)
        elif name == "gate" and held is not None:
            held = _read(held, f"{key}.gate", tensors)
        elif name == "probe" and held is not None:
            held = Probe.of_record(held, tensors[held["weight"]["tensor"]])
        elif isinstance(held, dict):
            held = tensors[cast("dict[str, str]", held)["tensor"]]
        given[name] = held
    del given["verb"]
    return Gate(**given) if verb == "Gate" else VERBS[verb](**given)


def _of_version_1(edit: dict[str, Any]) -> dict[str, Any]:
    """An edit of the first version, whose gates held a direction and a bias and read at their edit's site by default."""
    if not edit.get("gate"):
        return edit
    gate = {**edit["gate"]}
    weight, bias = gate.pop("direction"), gate.pop("bias")
    if weight is None:
        return {**edit, "gate": {**gate, "probe": None}}
    site = gate.pop("at") or edit["at"]
    told = {"classes": None, "pool": {"tokens": "every"}, "fitted": {}}
    return {**edit, "gate": {**gate, "probe": {"site": site, "bias": float(bias).hex(), "weight": weight, **told}}}


def _brief(value: Any) -> str:
    """A value for people; of a long table or list its first entries and how many there are."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        size, first = len(entries), str(dict(list(entries.items())[:SHOWN]))
    elif isinstance(value, list | tuple):
        several = cast("Sequence[Any]", value)
        size, first = len(several), str(list(several[:SHOWN]))
    else:
        return str(value)
    return str(cast("object", value)) if size <= SHOWN else f"{first[:-1]}, ... {size} in all{first[-1]}"

"""A stack: edits that belong together, in the order they are made, and where they come from. Printed, saved, loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Union, cast, get_args, get_origin, get_type_hints, overload

from torch import Tensor

from clew import finder
from clew.changes import Add, Clamp, Edit, Gate, Mix, Project, Scale, Set, Update
from clew.files import check_names, check_whole, entries, entry, jsonable, parse_json, typed, whole
from clew.near import near
from clew.probing import Probe
from clew.sites import Site, Weight, Where
from clew.tables import SHOWN, as_html, frame, more
from clew.tensors import (
    check_flags,
    check_floats,
    check_held,
    read_header,
    read_tensors,
    write_tensors,
)

FORMAT, VERSION = "clew stack", 2
FORMATS = "edits.formats"
BRIEF = 5
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

    def _repr_html_(self) -> str:
        """The edits as a table for a notebook, and what is known of them."""
        rows = [[str(i), *str(edit).split(" at ", 1)] for i, edit in enumerate(self.edits[:SHOWN])]
        told = [f"{key}: {_brief(value)}" for key, value in self.about.items()]
        head = ["", "edit", "at"] if rows else []
        return as_html(str(self).partition("\n")[0], head, rows, [*more(len(self), "edits"), *told])

    def to_frame(self) -> Any:
        """A row for each edit as a pandas DataFrame: its verb, its address, and all of it in words.

        Raises: ImportError without pandas.
        """
        rows = [{"verb": type(e).__name__, "at": str(e.at), "said": str(e)} for e in self.edits]
        return frame(rows, ["verb", "at", "said"])

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
        head |= {"about": jsonable(self.about), "provenance": jsonable(self.provenance)}
        return write_tensors(path, tensors, {"clew": json.dumps(head, allow_nan=False)})

    @classmethod
    def load(cls, path: str | Path, model: Any = None) -> Stack:
        """Read what `save` wrote, or a vector file of another tool.

        Args: model: what the edits are for; vectors that do not fit it are refused.
        Raises: ValueError naming the file and what is wrong with it.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise ValueError(f"there is no file {path} of edits (here is {str(Path.cwd())!r})")
        with whole(path, "stack of edits"):
            ours = path.suffix == ".safetensors" and "clew" in read_header(path)
            if not ours and (known := finder.reading(FORMATS, path)):
                return known[1].read(path, model)
            if path.suffix != ".safetensors":
                raise ValueError(
                    f"{path} is {_what(path)}; edits are in .safetensors of clew, or in files of "
                    f"{', '.join(finder.names(FORMATS))}"
                )
            return cls._of(*read_tensors(path), path)

    @classmethod
    def _of(cls, tensors: dict[str, Tensor], said: Mapping[str, str], path: Path) -> Stack:
        place = f"the head of {path}"
        head = typed(parse_json(said.get("clew", "{}"), place), place, dict)
        if head.get("format") != FORMAT or head.get("version") not in (1, VERSION):
            raise ValueError(
                f"{path} holds {head.get('format') or 'no edits of clew'}, version {head.get('version')}; "
                f"this clew reads {FORMAT!r}, version 1 or {VERSION}"
            )
        check_whole(head, ("format", "version", "name", "edits", "about", "provenance"), place)
        check_names(said, ("clew",), f"the header of {path}")
        edits = entries(head, "edits", dict, origin=place)
        if head["version"] == 1:
            edits = [_of_version_1(edit, f"{i}.gate", tensors) for i, edit in enumerate(edits)]
        records = _Records(tensors, str(path))
        found = tuple(records.read(edit, str(i), f"{place}: edits[{i}]") for i, edit in enumerate(edits))
        check_held(tensors, records.used, str(path))
        about, made = (entry(head, name, dict, origin=place) for name in ("about", "provenance"))
        return cls(found, entry(head, "name", str, origin=place), about, made)


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
            _check_tensor(f"{key}.{f.name}", held, f"the {name.lower()} at {getattr(record, 'at', None)}")
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


@dataclass
class _Records:
    """Records out of the plain JSON that `_written` made of them; every field is there, of its kind, and no other."""

    tensors: Mapping[str, Tensor]
    origin: str
    """The file."""
    used: set[str] = field(default_factory=set[str])

    def read(self, value: dict[str, Any], key: str, place: str) -> Any:
        verb = entry(value, "verb", str, origin=place)
        if verb not in VERBS and verb != "Gate":
            raise ValueError(f"{place} is a {verb!r}, which this clew does not know; {near(verb, VERBS)}")
        made = Gate if verb == "Gate" else VERBS[verb]
        hints = {f.name: hint for f in fields(made) for hint in [get_type_hints(made)[f.name]]}
        check_whole(value, ("verb", *hints), place)
        return made(**{n: self._field(value[n], h, f"{key}.{n}", f"{place}.{n}") for n, h in hints.items()})

    def _field(self, held: Any, hint: Any, key: str, place: str) -> Any:
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if held is None and (type(None) in kinds or hint is Any):
            return None
        if isinstance(held, dict):
            return self._object(cast("dict[str, Any]", held), kinds, key, place)
        if tuple[int, ...] in kinds:
            return tuple(typed(one, f"{place}[{i}]", int) for i, one in enumerate(typed(held, place, list)))
        plain = [kind for kind in kinds if kind in (int, float, bool)]
        if not plain and {Where, Gate, Probe, Tensor} & set(kinds):
            raise ValueError(f"{place} is {held!r:.80}; an object is due there")
        return typed(held, place, plain[0] if plain else str)

    def _object(self, held: dict[str, Any], kinds: Sequence[Any], key: str, place: str) -> Any:
        if Where in kinds:
            check_whole(held, ("kind", "values"), place)
            return Where(held["kind"], tuple(entries(held, "values", int, origin=place)))
        if Gate in kinds:
            return self.read(held, key, place)
        if Probe in kinds:
            weight = self._tensor(held.get("weight"), key, f"{place}.weight")
            return Probe.of_record({name: told for name, told in held.items() if name != "weight"}, weight, place)
        if Tensor not in kinds:
            raise ValueError(f"{place} is {held!r:.80}; no object is due there")
        return self._tensor(held, key, place)

    def _tensor(self, held: Any, key: str, place: str) -> Tensor:
        if held != {"tensor": key} or key not in self.tensors:
            raise ValueError(f"{place} is {held!r:.80}; the tensor {key!r} is due there")
        self.used.add(key)
        _check_tensor(key, self.tensors[key], self.origin)
        return self.tensors[key]


def _check_tensor(key: str, tensor: Tensor, place: str) -> None:
    """Raises: ValueError for what no edit can hold: a mask is of true and false, everything else of finite floats."""
    (check_flags if key.endswith(".keep") else check_floats)({key: tensor}, place)


def _of_version_1(edit: dict[str, Any], key: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """An edit of the first version, whose gates held a direction and a bias and read at their edit's site by default."""
    if not edit.get("gate"):
        return edit
    gate = {**edit["gate"]}
    direction, bias = gate.pop("direction"), float(typed(gate.pop("bias"), "bias", float)).hex()
    if direction is None:
        return {**edit, "gate": {**gate, "probe": None}}
    site, weight = gate["at"] or edit["at"], {"tensor": f"{key}.probe"}
    tensors[f"{key}.probe"] = tensors.pop(f"{key}.direction")
    told = {"classes": None, "pool": {"tokens": "every", "skip": 0}, "fitted": {}}
    return {**edit, "gate": {**gate, "at": site, "probe": {"site": site, "bias": bias, "weight": weight, **told}}}


def _brief(value: Any) -> str:
    """A value for people; of a long table or list its first entries and how many there are."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        size, first = len(entries), str(dict(list(entries.items())[:BRIEF]))
    elif isinstance(value, list | tuple):
        several = cast("Sequence[Any]", value)
        size, first = len(several), str(list(several[:BRIEF]))
    else:
        return str(value)
    return str(cast("object", value)) if size <= BRIEF else f"{first[:-1]}, ... {size} in all{first[-1]}"

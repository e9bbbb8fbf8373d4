"""Options that several commands share and that belong together: groups, whose fields are typed one by one.

A group is a frozen record; on the command line each field is an option of its own name, and what the fields are good
for is said here once: opening the model, asking for the behaviour. Groups of evidence are in `_evidence.py`.
Models and behaviours are typed as Any: their classes come with torch, which `clew --help` must not import.
"""

# Annotations are evaluated here, not kept as strings: a group may be extended in another file, which lacks these names.
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from clew.apps._layers import at_layers
from clew.apps.cli._terminal import Flag, Several, aside, working
from clew.scale.workers import Workers

WORKERS = Annotated[Workers, Parameter(name="*", group=Group("Work", sort_key=5))]
"""Where work is done: here, in processes, on a cluster or as a job."""
PLANTED = "planted/"
"""How the names of models start whose circuits are known, and of their behaviours."""
unfolded = Parameter(name="*")
"""Each field by its own name, among the other options of the command."""


@Parameter(name="*", group=Group("Machine", sort_key=4))
@dataclass(frozen=True)
class Machine:
    """What a model runs in, and where."""

    dtype: str | None = None
    """float32, float16, bfloat16 or float64; by default float32 for bundled and GGUF models, else as saved."""
    device: str | None = None
    """Where to run: cpu, cuda, cuda:1, mps."""
    revision: str | None = None
    """Of a model on the hub, a branch, a tag or a commit; OWNER/NAME@REVISION says the same wherever a model is named."""
    quantization_config: Annotated[tuple[str, ...], Several] = ()
    """With which layers quantised to load it, as transformers says it: quant_method=bitsandbytes load_in_8bit=true."""
    device_map: str | None = None
    """How accelerate shall spread it over devices and disk: auto, balanced, sequential."""

    def open(self, model: str) -> Any:
        """The model that the user named. Raises: ValueError for a dtype that it cannot run in, or a device that is none."""
        import transformers

        import clew
        from clew.finder import load

        if model.startswith(PLANTED):
            if self != Machine():
                raise ValueError(f"{model} is in float64 on the CPU; leave --dtype, --device and the like out")
            return load("data.planted", model.removeprefix(PLANTED))().model
        device = self.device
        if device == "cuda" and "LOCAL_RANK" in os.environ:  # each of torchrun's processes has a GPU of its own
            device = f"cuda:{os.environ['LOCAL_RANK']}"
        transformers.utils.logging.disable_progress_bar()
        with working(f"opening {model}"):
            return clew.open(model, dtype=self.dtype, device=device, **self._loading())

    def _loading(self) -> dict[str, Any]:
        """What else is handed on to transformers, if anything is. Raises: ValueError for what says not what it is."""
        given = {
            "revision": self.revision,
            "quantization_config": _pairs("--quantization-config", self.quantization_config, "quant_method=NAME")
            or None,
            "device_map": self.device_map,
        }
        return {name: value for name, value in given.items() if value is not None}


def _pairs(option: str, words: Sequence[str], example: str) -> dict[str, Any]:
    """Names and values, numbers and true and false among them. Raises: ValueError for a word that is no pair."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {word!r} says not what is what; write {example}")
        plain = {"true": True, "false": False}.get(value.lower())
        found[name] = plain if plain is not None else int(value) if value.isdecimal() else value
    return found


@Parameter(name="*", group=Group("View of the model", sort_key=2))
@dataclass(frozen=True)
class View:
    """What the units of a model are: one of these, or neurons at every site."""

    through: Annotated[tuple[Path, ...], Several] = ()
    """Files or folders of dictionaries, whose features are the units; without a view the units are neurons."""
    layers: Annotated[tuple[int, ...], Several] = ()
    """Of --through the dictionaries at these layers alone, as in 11 15 19: time grows with their number."""
    neurons: Annotated[tuple[str, ...], Several] = ()
    """Sites whose single coordinates are the units, such as resid.3."""
    heads: Flag = False
    """Let attention heads be the units."""
    experts: Flag = False
    """Let the experts of mixtures be the units; with --components, each in place of its mixture."""
    components: Flag = False
    """Let the embedding, heads, mixers and MLPs be the units; a circuit of edges between these needs no such word."""

    def __bool__(self) -> bool:
        return bool(self.typed())

    def open(self, model: str, machine: Machine = Machine()) -> Any:
        """The model that the user named, in the basis that the user asked for."""
        parts = self.components or self.experts
        if bool(self.through) + bool(self.neurons) + self.heads + parts > 1:
            raise ValueError(
                "--through, --neurons, --heads, --experts and --components are ways to see a model; give one of them, "
                "or the last two together"
            )
        if self.layers and not self.through:
            raise ValueError("--layers chooses among the dictionaries of --through; name them too")
        opened = machine.open(model)
        if self.through:
            import clew

            with working("opening the dictionaries"):
                found = [d for path in self.through for d in clew.Dictionary.load(path)]
                return opened.through(*at_layers(found, self.layers, "--through"))
        if self.neurons:
            return opened.neurons(*self.neurons)
        if self.components:
            return opened.components(experts=self.experts)
        if self.experts:
            return opened.experts()
        return opened.heads() if self.heads else opened

    def typed(self) -> list[str]:
        """As it is typed for another command."""
        words = [f"--through {path}" for path in self.through]
        words += [f"--layers {' '.join(map(str, self.layers))}"] * bool(self.layers)
        words += [f"--neurons {' '.join(self.neurons)}"] * bool(self.neurons)
        words += ["--heads"] * self.heads + ["--experts"] * self.experts
        return words + ["--components"] * self.components


@Parameter(name="*", group=Group("Model that is studied", sort_key=2))
@dataclass(frozen=True)
class Studied:
    """The model whose units are explained, for what runs it."""

    model: str | None = None
    """The model whose units these are, for `--by effects` and `--scorers intervention`, as for `clew find`."""
    through: Annotated[tuple[Path, ...], Several] = ()
    """Files or folders of its dictionaries; by default the pack of the model's name, and neurons where there is none."""

    def open(self) -> Any:
        """The model seen in the units; None where no model was named. Raises: ValueError for dictionaries of no model."""
        if self.model is None:
            if self.through:
                raise ValueError("--through names dictionaries, but not of which model; add --model MODEL")
            return None
        from clew.dictionaries.packs import packs

        return View(self.through or (Path(self.model),) * (self.model in packs())).open(self.model)


@Parameter(name="*", group=Group("Behaviour", sort_key=3))
@dataclass(frozen=True)
class Asked:
    """What is asked of a behaviour."""

    examples: int | None = None
    """How many prompt pairs at most; give `clew find` and `clew verify` the same number."""
    metric: str | None = None
    """What is measured on the answer: logit_difference, answer_logit, log_probability, probability_difference or
    kl_divergence; that of the behaviour by default."""
    all_pairs: Flag = False
    """Also use the pairs that the model gets wrong; they are left out by default."""
    columns: Annotated[tuple[str, ...], Several] = ()
    """Of a file of your own, which column is what: clean=prompt answers=answer, and if there are any patch=...
    patch_answers=... case=... Answers carry their own leading space."""

    def behaviour(self, name: str, seen: Any) -> Any:
        """The behaviour that the user named, as far as this model's tokenizer can pose it; says what fell out."""
        import clew

        if self.examples is not None and self.examples < 1:
            raise ValueError(f"--examples is {self.examples}; give the number of prompt pairs, at least 1")
        task = clew.Behaviour.load(name, model=seen, **self.loaded())
        task = task if self.metric is None else task.with_metric(self.metric)
        if not self.all_pairs:
            with working("keeping the pairs that the model gets right"):
                task = task.filter(seen)
        if task.note:
            aside(task.note)
        return task

    def loaded(self) -> dict[str, Any]:
        """With which options it is loaded. Raises: ValueError for columns that are no pairs of names."""
        given = {"n": self.examples, "columns": self._columns()}
        return {what: value for what, value in given.items() if value}

    def _columns(self) -> dict[str, str]:
        """Which column is what. Raises: ValueError for what is no pair of names."""
        for column in self.columns:
            if not all(column.partition("=")):
                raise ValueError(f"--columns {column!r} says not which column is what; write clean=NAME answers=NAME")
        return dict(column.split("=", 1) for column in self.columns)

    def typed(self) -> list[str]:
        """As it is typed for another command."""
        words = [f"--columns {' '.join(self.columns)}"] * bool(self.columns)
        words += [f"--examples {self.examples}"] * (self.examples is not None)
        return words + [f"--metric {self.metric}"] * (self.metric is not None) + ["--all-pairs"] * self.all_pairs

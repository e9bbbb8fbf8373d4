"""What the runs of a model depend on, as a key: equal for as long as nothing of it has changed, in place or otherwise."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass

from torch import Tensor

from clew.models.fingerprint import stamp
from clew.models.model import Model


def standing(model: Model, *, units: bool) -> tuple[Hashable, ...]:
    """The module and its weights, the edits in force, the sites of the view and, with `units`, its dictionaries.

    Costs a look at some values of every tensor (`clew.models.fingerprint.stamp`), so it is asked once for many runs.
    """
    module, edits = model.body.module, model.activation_edits
    told = model.view is not None and (units or bool(edits))  # neurons are those of the module
    seen = [(d.reads, site, *((d, stamp(d)) if told else ())) for site, d in model.dictionaries.items()]
    return (module, stamp(module), *((edit, *changes(edit)) for edit in edits), *seen)


def changes(record: object) -> Iterator[int]:
    """How often each tensor in a record, an edit or a probe, was changed in place."""
    if isinstance(record, Tensor):
        yield 0 if record.is_inference() else record._version
    elif is_dataclass(record):
        for field in fields(record):
            yield from changes(getattr(record, field.name))

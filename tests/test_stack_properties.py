"""Stacks of random edits come back from disk as they were, to the bit."""

from dataclasses import fields
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clew.changes import Add, Clamp, Gate, Mix, Project, Scale, Set, Update
from clew.probing import LAST, Pool, Probe
from clew.sites import Where
from clew.stack import Stack
from tests.drawn import JSON, NUMBER, TEXT

DTYPES = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])
WHERE = st.sampled_from([Where(), Where("answer"), Where.at(0, -1), Where("token", (3, 1)), Where.phrase((4, 5))])
ABOUT = st.dictionaries(TEXT, JSON, max_size=2)


@st.composite
def tensors(draw: st.DrawFn, *shape: int) -> Tensor:
    """Numbers of any size, also views that are not contiguous."""
    size = 1
    for n in shape:
        size *= n
    values = draw(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=size, max_size=size))
    tensor = torch.tensor(values, dtype=draw(DTYPES)).reshape(shape)
    return tensor.mT.contiguous().mT if tensor.ndim > 1 and draw(st.booleans()) else tensor


PROBES = st.builds(
    Probe,
    st.sampled_from(["resid.0", "embed"]),
    tensors(3),
    NUMBER,
    classes=st.none() | st.tuples(TEXT, TEXT).filter(lambda pair: pair[0] != pair[1]),
    pool=st.sampled_from([LAST, Pool("every")]),
    fitted=ABOUT,
)
REACH = st.sampled_from(["token", "prompt"])
GATES = st.builds(Gate, PROBES, above=NUMBER, reach=REACH) | st.builds(
    Gate, unit=st.integers(0, 9), above=NUMBER, at=st.none() | st.just("resid.0"), reach=REACH
)
HOW = {
    "where": WHERE,
    "basis": st.sampled_from(["value", "code", "error"]),
    "units": st.none() | st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True).map(tuple),
    "gate": st.none() | GATES,
}
AT = st.sampled_from(["resid.1", "mlp.2", "final"])
VALUE = tensors(3) | NUMBER
EDITS = st.one_of(
    st.builds(Add, AT, vector=tensors(3), scale=NUMBER, keep_norm=st.booleans(), **HOW),
    st.builds(Set, AT, value=VALUE, keep=st.none() | st.just(torch.tensor([True, False, True])), **HOW),
    st.builds(Mix, AT, value=VALUE, weight=VALUE, **HOW),
    st.builds(Scale, AT, factor=NUMBER, **HOW),
    st.builds(Clamp, AT, low=NUMBER, high=st.none() | NUMBER, **HOW),
    st.builds(Project, AT, directions=tensors(2, 3), value=VALUE, **HOW),
    st.builds(Update, st.sampled_from(["down.3", "a.b"]), left=tensors(3, 2), right=tensors(2, 4), scale=NUMBER),
    st.builds(Update, st.just("unembed"), left=tensors(3, 2), scale=NUMBER),
)


def bits(value: Any) -> Any:
    """All that a value holds, as what can be compared: tensors by dtype, shape and bytes, floats by their bits."""
    if isinstance(value, Tensor):
        return str(value.dtype), list(value.shape), value.contiguous().flatten().view(torch.uint8).tolist()
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Gate | Probe | Add | Set | Mix | Scale | Clamp | Project | Update):
        return type(value).__name__, {f.name: bits(getattr(value, f.name)) for f in fields(value)}
    return value


@given(st.lists(EDITS, max_size=3).map(tuple), TEXT, ABOUT, ABOUT)
def test_a_stack_comes_back_from_disk_to_the_bit(tmp_path, edits, name, about, provenance):
    stack = Stack(edits, name, about, provenance)
    found = Stack.load(stack.save(tmp_path / "stack.safetensors"))
    assert [bits(edit) for edit in found] == [bits(edit) for edit in stack]
    assert (found.name, found.about, found.provenance) == (name, about, provenance)
    assert str(found) == str(stack)


@given(PROBES)
def test_a_probe_comes_back_from_disk_to_the_bit(tmp_path, probe):
    assert bits(Probe.load(probe.save(tmp_path / "probe.safetensors"))) == bits(probe)

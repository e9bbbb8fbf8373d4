"""Files of the steering-vectors package: tensors are read, Python objects never."""

from dataclasses import dataclass

import pytest
import torch

from clew import Add, Site
from clew.edits.formats import steering_vectors as ours
from clew.stack import Stack
from tests.models.tiny import model_of

S = Site.parse


@dataclass
class SteeringVector:
    layer_activations: dict
    layer_type: str = "decoder_block"


def vector(seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(seed)).to(dtype)


def foreign(path, layers, kind="decoder_block"):
    torch.save({"layer_activations": layers, "layer_type": kind}, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_round_trip_is_exact_in_every_dtype(dtype, tmp_path):
    stack = Stack(
        (Add(S("resid.0"), vector=vector(1, dtype)), Add(S("resid.2"), vector=vector(2, dtype))), "joy", {"a": 1}
    )
    back = Stack.load(stack.save(tmp_path / "v.pt", format="steering_vectors", model=model_of()), model_of())
    assert [str(e.at) for e in back] == ["resid.0", "resid.2"]
    assert all(torch.equal(a.vector, b.vector) and a.vector.dtype == dtype for a, b in zip(back, stack, strict=True))
    assert (back.name, back.about) == ("joy", {"a": 1})


def test_the_package_finds_its_two_fields(tmp_path):
    ours.write(Stack((Add(S("mlp.1"), vector=vector(), scale=3.0),)), tmp_path / "v.pt", model_of())
    held = torch.load(tmp_path / "v.pt", weights_only=True)
    assert held["layer_type"] == "mlp"
    assert torch.equal(held["layer_activations"][1], 3.0 * vector())


def test_layers_count_from_0_and_negative_ones_from_the_end(tmp_path):
    path = foreign(tmp_path / "v.pt", {0: vector(1)[None, None], -1: vector(2)})
    with pytest.raises(ValueError, match="count from the end; give the model"):
        Stack.load(path)
    assert {str(e.at) for e in Stack.load(path, model_of())} == {"resid.0", f"resid.{model_of().n_layers - 1}"}


def test_what_comes_before_a_norm_is_no_site_that_comes_after_it(tmp_path):
    attention = foreign(tmp_path / "a.pt", {1: vector()}, "self_attn")
    assert str(Stack.load(attention, model_of("llama"))[0].at) == "attn.1"
    with pytest.raises(ValueError, match="a norm or a factor after its attn"):
        Stack.load(attention, model_of("gemma2"))
    with pytest.raises(ValueError, match="a norm or a factor after its mlp"):
        ours.write(Stack((Add(S("mlp.1"), vector=vector()),)), tmp_path / "b.pt", model_of("gemma2"))
    assert str(Stack.load(foreign(tmp_path / "c.pt", {1: vector()}, "mlp"), model_of("gemma2"))[0].at) == "mlp_out.1"


def test_a_whole_python_object_is_never_unpickled(tmp_path):
    torch.save(SteeringVector({1: vector()}), tmp_path / "v.pt")
    with pytest.raises(ValueError, match="would run code from the file"):
        Stack.load(tmp_path / "v.pt")


@pytest.mark.parametrize(
    ("layers", "kind", "why"),
    [
        ({1: vector()}, "input_layernorm", "'input_layernorm', which is no site"),
        ({}, "decoder_block", "no layers"),
        ({"1": vector()}, "decoder_block", "layer numbers to tensors"),
        ({1: vector()[:4]}, "decoder_block", "made for another model"),
        ({7: vector()}, "decoder_block", "not a site of"),
    ],
)
def test_a_file_that_makes_no_edit_is_refused(layers, kind, why, tmp_path):
    with pytest.raises(ValueError, match=why):
        Stack.load(foreign(tmp_path / "v.pt", layers, kind), model_of())


def test_one_file_holds_one_kind_of_site(tmp_path):
    stack = Stack((Add(S("resid.1"), vector=vector()), Add(S("attn.1"), vector=vector())))
    with pytest.raises(ValueError, match="holds one kind of site"):
        ours.write(stack, tmp_path / "v.pt", model_of())


def test_our_own_file_loads_and_others_are_named(tmp_path):
    stack = Stack((Add(S("resid.1"), vector=vector()),), "mine")
    assert Stack.load(stack.save(tmp_path / "v.safetensors")).name == "mine"
    (tmp_path / "notes.txt").write_text("layer")
    with pytest.raises(
        ValueError, match=r"of no kind we know; edits are in \.safetensors of clew.*gguf, steering_vectors"
    ):
        Stack.load(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="there is no file"):
        Stack.load(tmp_path / "nowhere.gguf")
    with pytest.raises(ValueError, match=r"'onnx' is not a format that clew writes"):
        stack.save(tmp_path / "v.onnx", format="onnx", model=model_of())


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (
            {"layer_activations": {1: vector() * torch.nan}, "layer_type": "mlp"},
            "32 of the 32 values of layer 1 in .*v.pt are not",
        ),
        (
            {"layer_activations": {1: vector().long()}, "layer_type": "mlp"},
            "layer 1 in .*v.pt is of torch.int64; floats are due",
        ),
        ({"layer_activations": {1: vector()[:0]}, "layer_type": "mlp"}, "layer 1 in .*v.pt is empty"),
        (
            {"layer_activations": {1: torch.ones(2, 16)}, "layer_type": "mlp"},
            r"layer 1 of .*v.pt has the shape \[2, 16\]",
        ),
        ({"layer_activations": {1: vector()}}, "v.pt has no 'layer_type'"),
        ({"layer_activations": {True: vector()}, "layer_type": "mlp"}, "layer numbers to tensors"),
        ({"layer_activations": {1: vector()}, "layer_type": "mlp", "more": 1}, "v.pt has 'more', which is none of"),
        ({"layer_activations": {1: vector()}, "layer_type": "mlp", "clew": "[" * 99_999}, "nested too deep"),
        (
            {"layer_activations": {1: vector()}, "layer_type": "mlp", "clew": "{}"},
            "v.pt: what clew said in it has no 'name'",
        ),
        (
            {"layer_activations": {-1: vector(), 2: vector()}, "layer_type": "mlp"},
            "v.pt holds two vectors of one layer",
        ),
    ],
)
def test_a_file_that_says_too_little_or_something_else_is_refused(held, said, tmp_path):
    torch.save(held, tmp_path / "v.pt")
    with pytest.raises(ValueError, match=said):
        Stack.load(tmp_path / "v.pt", model_of())


def test_a_vector_less_than_was_written_is_seen(tmp_path):
    stack = Stack((Add(S("resid.0"), vector=vector(1)), Add(S("resid.2"), vector=vector(2))), "joy")
    held = torch.load(stack.save(tmp_path / "v.pt", format="steering_vectors", model=model_of()), weights_only=True)
    del held["layer_activations"][0]
    torch.save(held, tmp_path / "v.pt")
    with pytest.raises(
        ValueError, match=r"v\.pt holds vectors of resid\.2, and was written with \['resid\.0', 'resid\.2'\]"
    ):
        Stack.load(tmp_path / "v.pt")

"""A feature out of the weights: its component in the stream is then the same number, whatever the text."""

from typing import Any

import pytest
import torch
from torch import Tensor

import clew
from clew.changes import Project, Update
from clew.edits.components.remove_feature import remove_feature
from clew.models import Model
from tests.models.tiny import model_of, prompts, relu_dictionary

F64 = torch.float64


def along(model: Model, direction: Tensor, site: str) -> Tensor:
    """The stream's component along a direction, at every token of some prompts."""
    return model.run(prompts(), read=[site], logits=0)[site] @ (direction / direction.norm())


def drawn() -> Tensor:
    return torch.randn(32, dtype=F64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma3_text"])
def test_the_component_is_constant_up_to_the_layer_and_free_after_it(family: str) -> None:
    model, direction = model_of(family, F64), drawn()
    without = model.edited(remove_feature(model, at="resid.1", direction=direction))
    assert float(along(model, direction, "resid.1").std()) > 1e-2
    assert float(along(without, direction, "resid.1").std()) < 1e-7  # norms of Gemma compute in float32
    assert float(along(without, direction, "resid.2").std()) > 1e-2


def test_it_is_the_component_of_the_biases() -> None:
    model, direction = model_of("gpt2", F64), drawn()
    without = model.edited(remove_feature(model, at="resid.1", direction=direction))
    biases = [model.body.linear(f"{part}.{layer}").bias for part in ("out", "down") for layer in (0, 1)]
    wanted = sum(float(b @ direction / direction.norm()) for b in biases if b is not None)
    found = along(without, direction, "resid.1")
    assert torch.allclose(found, torch.full_like(found, wanted), atol=1e-9)


def test_with_the_embedding_left_alone_its_component_flows_on() -> None:
    model, direction = model_of("llama", F64), drawn()
    stack = remove_feature(model, at="resid.1", direction=direction, embed=False)
    entered = along(model, direction, "embed")
    assert torch.allclose(along(model.edited(stack), direction, "resid.1"), entered, atol=1e-9)
    assert [type(e) for e in stack] == [Update] * 4


def test_a_unit_goes_by_its_decoder_row_and_nothing_else_of_the_writes_moves() -> None:
    model = model_of("llama", F64)
    view = model.through(relu_dictionary(model, "resid.1", dtype=F64))
    row = view.dictionaries[model.body.site("resid.1")].get_buffer("W_dec")[3]
    stack = remove_feature(view, at="resid.1", unit=3)
    assert isinstance(stack[0], Project) and [str(e.at) for e in stack[1:]] == ["out.0", "down.0", "out.1", "down.1"]
    assert torch.allclose(stack[0].directions[0].abs(), (row / row.norm()).abs(), atol=1e-12)
    unit, before = row / row.norm(), model.body.linear("down.1").matrix()
    after = view.edited(stack).body.linear("down.1").matrix()
    assert torch.allclose(after, before - torch.outer(unit, unit @ before), atol=1e-12)


def test_a_head_as_a_unit_of_its_own_takes_all_its_directions() -> None:
    model = model_of("llama", F64).components()
    assert remove_feature(model, at="mlp.0", unit=0)[0].directions.shape == (32, 32)  # the whole stream


def test_maps_that_write_nothing_of_it_are_left_as_they_are() -> None:
    model, axis = model_of("llama", F64), torch.eye(32, dtype=F64)[3]
    with torch.no_grad():
        for part in ("out.0", "down.0", "down.1"):
            model.body.linear(part).owner.weight[3] = 0
    stack = remove_feature(model, at="resid.1", direction=axis)
    assert [str(e.at) for e in stack] == ["embed", "out.1"]
    assert float(along(model.edited(stack), axis, "resid.1").abs().max()) < 1e-12
    with pytest.raises(ValueError, match="no map of the layers 0 to 0 writes along this direction"):
        remove_feature(model, at="resid.0", direction=axis, embed=False)


def test_what_cannot_be_removed_is_refused() -> None:
    model = model_of("llama", F64)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"at": "neuron.1", "unit": 0}, "not in the coordinates of the stream"),
        ({"at": "resid.1"}, "either a unit"),
        ({"at": "resid.1", "unit": 0}, "no dictionary at resid.1"),
        ({"at": "resid.1", "direction": torch.zeros(32)}, "not all 0"),
        ({"at": "resid.1", "direction": torch.ones(32), "up_to": 3}, "up_to=3"),
    ]
    for options, said in cases:
        with pytest.raises(ValueError, match=said):
            remove_feature(model, **options)


@pytest.mark.real
def test_a_feature_of_a_pretrained_model_stays_out_whatever_it_reads() -> None:
    (sae,) = [d for d in clew.Dictionary.load("smollm2-135m") if str(d.writes) == "resid.10"]
    view = clew.open("smollm2-135m").through(sae)
    tokens, row = (
        torch.randint(100, 40_000, (2, 12), generator=torch.Generator().manual_seed(0)),
        sae.get_buffer("W_dec")[5],
    )
    seen = [m.run(tokens, read=["resid.10"], logits=0)["resid.10"] @ row / row.norm() for m in
            (view, view.edited(remove_feature(view, at="resid.10", unit=5)))]  # fmt: skip
    assert float(seen[1].abs().max()) < 1e-3 < 0.1 < float(seen[0].std())

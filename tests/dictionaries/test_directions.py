"""Directions of probes as units: what is written and pulled, exactly; in a model, a circuit and on disk."""

import pytest
import torch

import clew
from clew.changes import Scale
from clew.dictionaries.directions import directions
from clew.probing import Probe
from clew.readings.probe import asks, scores
from tests.measures.labelled_model import embedding_model
from tests.models.tiny import model_of, prompts

F64 = torch.float64
G = torch.Generator().manual_seed(0)
X = torch.randn(50, 6, generator=G, dtype=F64)
THREE = [Probe("resid.1", torch.randn(6, generator=G, dtype=F64), b) for b in (0.5, -1.0, 0.0)]


def test_one_direction_by_hand():
    one = Probe("resid.1", torch.tensor([3.0, 4.0]), 5.0).dictionary
    x = torch.tensor([1.0, 2.0])
    assert one.encode(x).tolist() == [16.0] and one.n_units == 1
    assert torch.allclose(one.decode(one.encode(x)), torch.tensor([3.0, 4.0]) * 11 / 25)  # the part of x along it
    assert torch.allclose(one.write(torch.tensor([1.0])), torch.tensor([3.0, 4.0]) / 25)
    assert torch.allclose(one.pull(torch.tensor([3.0, 4.0])), torch.ones(1))


def test_the_code_is_what_each_probe_says():
    many = directions(*THREE)
    assert torch.allclose(many.encode(X), torch.stack([probe(X) for probe in THREE], -1))


def test_a_code_that_is_written_is_read_again():
    many = directions(*THREE)
    code = torch.randn(9, 3, generator=G, dtype=F64)
    assert torch.allclose(many.encode(many.decode(code)), code)


def test_a_change_of_one_unit_moves_its_own_probe_by_as_much_and_no_other():
    many = directions(*THREE)
    moved = X + many.write(torch.tensor([0.0, 2.0, 0.0], dtype=F64))
    assert torch.allclose(many.encode(moved) - many.encode(X), torch.tensor([0.0, 2.0, 0.0], dtype=F64).expand(50, 3))


def test_pull_is_the_transpose_of_write():
    many = directions(*THREE)
    grad, delta = torch.randn(6, generator=G, dtype=F64), torch.randn(3, generator=G, dtype=F64)
    assert torch.allclose(many.pull(grad) @ delta, grad @ many.write(delta))


def test_directions_at_right_angles_are_written_over_their_squared_length():
    w = torch.diag(torch.tensor([2.0, 5.0, 1.0]))
    assert torch.allclose(directions(*(Probe("embed", row) for row in w)).W_dec, torch.diag(1 / w.diagonal()))


def test_what_no_direction_explains_is_at_right_angles_to_all():
    many = directions(*THREE)
    error = X - many.decode(many.encode(X))
    assert torch.allclose(error @ many.W_enc, torch.zeros(50, 3, dtype=F64), atol=1e-12)


MODEL = embedding_model({"on": (9.0,), "a": (1.0, 5.0), "b": (0.0, 2.0)})
HEAD = Probe("embed", torch.zeros(32).index_fill(0, torch.tensor([0]), 2.0), -0.5, classes=("no", "yes"))


def test_a_circuit_over_a_probes_direction_by_hand():
    """The metric is the probe itself, so the unit's effect is the probe's own score, and nothing is left to the error."""
    task = asks(MODEL, ["on a", "on b"], ["yes", "no"], HEAD)
    circuit = clew.find(MODEL.through(HEAD.dictionary), task, by="attribution_patching", held_out=False, skip=1)
    assert {n.address: round(n.score, 6) for n in circuit if n.score} == {"embed/0": (1.5 + 0.5) / 2}


def test_a_unit_held_at_0_puts_x_on_the_probes_boundary():
    view = MODEL.through(HEAD.dictionary)
    off = view.edited(Scale("embed", factor=0.0, basis="code", units=(0,)))
    assert scores(MODEL, ["on a"], HEAD).tolist() == [1.5] and scores(off, ["on a"], HEAD).tolist() == [0.0]


def test_a_model_seen_in_directions_is_the_same_model():
    model = model_of("llama")
    view = model.through(Probe("resid.1", torch.randn(32, generator=G)).dictionary)
    assert torch.equal(view.run(prompts()).logits, model.run(prompts()).logits)


def test_it_is_saved_as_every_dictionary(tmp_path):
    many = directions(*THREE)
    (again,) = clew.Dictionary.load(many.save(tmp_path / "resid.1.safetensors"))
    assert again.fingerprint == many.fingerprint and again.meta == many.meta


def test_what_is_no_basis_is_refused():
    w = torch.tensor([1.0, 2.0])
    for given, says in (
        ((), "none was given"),
        ((Probe("resid.1", w), Probe("resid.2", w)), r"resid.1 \[2\], resid.2 \[2\] was given"),
        ((Probe("resid.1", w), Probe("resid.1", -w, 3.0)), "not independent"),
        ((Probe("resid.1", 0 * w),), "not independent"),
    ):
        with pytest.raises(ValueError, match=says):
            directions(*given)

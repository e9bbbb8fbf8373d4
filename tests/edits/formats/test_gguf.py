"""GGUF control vectors: what is written reads back bit for bit, and block N is resid.N."""

import pytest
import torch

from clew import Add, Site, Where
from clew.changes import Gate, Scale, Update
from clew.edits.formats import gguf as ours
from clew.probing import Probe
from clew.sites import Weight
from clew.stack import Stack
from tests.models.tiny import model_of, prompts

gguf = pytest.importorskip("gguf")
S = Site.parse


def vector(seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(seed)).to(dtype)


def two_layers() -> Stack:
    edits = (Add(S("resid.1"), vector=vector(1)), Add(S("resid.2"), vector=vector(2)))
    return Stack(edits, "kindness", {"estimator": "mean_difference", "norm": "natural"}, {"seed": 3})


def foreign(path, tensors, hint: str = "mistral"):
    """A file as repeng writes it."""
    writer = gguf.GGUFWriter(path, "controlvector")
    writer.add_string("controlvector.model_hint", hint)
    writer.add_uint32("controlvector.layer_count", len(tensors))
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_round_trip_is_exact_and_keeps_what_is_said(tmp_path):
    path = two_layers().save(tmp_path / "v.gguf", format="gguf", model=model_of())
    back = Stack.load(path, model_of())
    assert [e.at for e in back] == [Site("resid", 1), Site("resid", 2)]
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(back, two_layers(), strict=True))
    assert (back.name, back.about, back.provenance) == ("kindness", two_layers().about, {"seed": 3})


def test_others_find_the_architecture_the_hint_and_one_float32_row_per_layer(tmp_path):
    ours.write(two_layers().scaled(0.5), tmp_path / "v.gguf", model_of())
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    said = [reader.get_field(f) for f in ("general.architecture", "controlvector.model_hint")]
    assert [bytes(field.parts[field.data[0]]).decode() for field in said] == ["controlvector", "llama"]
    assert int(reader.get_field("controlvector.layer_count").parts[-1][0]) == 2
    assert [(t.name, t.tensor_type.name, list(t.shape)) for t in reader.tensors[:1]] == [("direction.1", "F32", [32])]
    assert torch.equal(torch.from_numpy(reader.tensors[0].data.copy()), 0.5 * vector(1))


def test_direction_n_is_added_to_the_output_of_block_n_counted_from_0(tmp_path):
    model = model_of()
    stack = Stack.load(foreign(tmp_path / "v.gguf", {"direction.1": vector()}), model)
    seen: list[torch.Tensor] = []

    def add(module, args, output):
        moved = (output[0] if isinstance(output, tuple) else output) + vector()
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    handle = model.body.module.model.layers[1].register_forward_hook(add)
    seen.append(model.body.module(input_ids=prompts(), use_cache=False).logits)
    handle.remove()
    assert torch.equal(model.edited(stack).run(prompts()).logits, seen[0].detach())


def test_a_file_of_repeng_says_whom_it_was_made_for_and_how_long_its_vectors_are(tmp_path):
    unit = vector() / vector().norm()
    stack = Stack.load(foreign(tmp_path / "joy.gguf", {"direction.0": unit, "direction.2": -unit}))
    assert (stack.name, [str(e.at) for e in stack]) == ("joy", ["resid.0", "resid.2"])
    assert stack.about["made_for"] == "mistral" and stack.about["norm"].startswith("unit")


def test_vectors_of_one_layer_are_summed(tmp_path):
    both = Stack((Add(S("resid.1"), vector=vector(1)), Add(S("resid.1"), vector=vector(2), scale=2.0)))
    ours.write(both, tmp_path / "v.gguf", model_of())
    assert torch.equal(Stack.load(tmp_path / "v.gguf")[0].vector, vector(1) + 2.0 * vector(2))


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (Add(S("attn.1"), vector=vector()), r"vectors of resid\.N"),
        (Add(S("resid.1"), vector=vector(), where=Where("response")), "at every position"),
        (Add(S("resid.1"), vector=vector(), gate=Gate(Probe("resid.1", vector()))), "at every position"),
        (Add(S("resid.1"), vector=vector(), keep_norm=True), "the norm is kept"),
        (Add(S("resid.1"), vector=vector()[:2], units=(0, 1)), "whole vectors"),
        (Scale(S("resid.1"), factor=2.0), "nothing but vectors"),
        (Update(Weight("down.1"), left=torch.ones(32, 1), right=torch.ones(1, 48)), "nothing but vectors"),
        (Add(S("resid.0"), vector=vector()), "llama.cpp steers block 1 and above"),
        (Add(S("resid.1"), vector=vector()[:8]), "8 numbers, and resid.1 of tiny llama is 32 wide"),
        (Add(S("resid.9"), vector=vector()), "not a site of tiny llama"),
    ],
)
def test_what_such_a_file_cannot_say_is_refused(edit, why, tmp_path):
    with pytest.raises(ValueError, match=why):
        ours.write(Stack((edit,)), tmp_path / "v.gguf", model_of())
    assert not list(tmp_path.iterdir())


def test_a_vector_for_another_model_is_refused(tmp_path):
    path = foreign(tmp_path / "v.gguf", {"direction.1": torch.ones(64)})
    with pytest.raises(ValueError, match="made for another model"):
        Stack.load(path, model_of())


def test_a_foreign_tensor_a_model_and_a_damaged_file_are_told_apart(tmp_path):
    with pytest.raises(ValueError, match=r"a tensor 'blk\.0'; a GGUF control vector holds only direction\.N"):
        Stack.load(foreign(tmp_path / "a.gguf", {"blk.0": vector()}))
    (tmp_path / "b.gguf").write_bytes(b"GGUF" + b"\0" * 40)
    with pytest.raises(ValueError, match="no control vector"):
        Stack.load(tmp_path / "b.gguf")
    whole = foreign(tmp_path / "c.gguf", {"direction.1": vector()}).read_bytes()
    (tmp_path / "c.gguf").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="cut short"):
        Stack.load(tmp_path / "c.gguf")


def test_a_vector_that_is_no_number_or_of_a_layer_that_is_there_already_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"1 of the 32 values of direction\.1 in .*v\.gguf are not finite"):
        Stack.load(foreign(tmp_path / "v.gguf", {"direction.1": vector().index_fill(0, torch.tensor([3]), torch.nan)}))
    with pytest.raises(ValueError, match="two directions of one layer"):
        Stack.load(foreign(tmp_path / "v.gguf", {"direction.1": vector(), "direction.01": vector()}))
    with pytest.raises(ValueError, match=r"direction\.1 of .*v\.gguf is float32 \[2, 16\]"):
        Stack.load(foreign(tmp_path / "v.gguf", {"direction.1": torch.ones(2, 16)}))


def test_counts_that_are_not_there_are_not_waited_for(tmp_path):
    whole = two_layers().save(tmp_path / "v.gguf", format="gguf", model=model_of()).read_bytes()
    places = {"tensors": 8, "keys": 16, "the first key's length": 24}
    for at in places.values():
        (tmp_path / "v.gguf").write_bytes(whole[:at] + (10**12).to_bytes(8, "little") + whole[at + 8 :])
        with pytest.raises(ValueError, match=r"v\.gguf is not a whole GGUF file; it is cut short or damaged"):
            Stack.load(tmp_path / "v.gguf")
    at = whole.index(b"controlvector.layer_count") + len(b"controlvector.layer_count") + 4
    (tmp_path / "v.gguf").write_bytes(whole[:at] + (3).to_bytes(4, "little") + whole[at + 4 :])
    with pytest.raises(ValueError, match="it should hold 3 directions and holds 2"):
        Stack.load(tmp_path / "v.gguf")


def test_every_byte_of_the_head_counts(tmp_path):
    whole = two_layers().save(tmp_path / "v.gguf", format="gguf", model=model_of()).read_bytes()
    head = whole.index(b"direction.2") + 40
    for at in range(4, head, 5):
        (tmp_path / "v.gguf").write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        try:
            found = Stack.load(tmp_path / "v.gguf")
        except ValueError as error:
            assert "v.gguf" in str(error)
        else:  # a word that somebody reads
            assert all(torch.equal(a.vector, b.vector) for a, b in zip(found, two_layers(), strict=True))

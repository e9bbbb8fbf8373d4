import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clew.dictionaries import BatchTopK, Dictionary, Gated, Identity, JumpReLU, Partition, ReLU, TopK


def every_type(weights):
    w = weights("b_enc")
    yield ReLU("mlp_in.1", "mlp.1", centred=False, W_skip=torch.ones(4, 4).double(), **w)
    yield ReLU("resid.1", centred=True, **weights())
    yield TopK("resid.1", k=3, centred=True, **w)
    yield JumpReLU("resid.1", threshold=w["b_enc"].abs(), centred=False, steps=10, lr=[1e-3, 0.1], **w)
    yield BatchTopK("resid.1", threshold=torch.tensor(0.5).double(), centred=True, **w)
    yield Gated("resid.1", centred=True, **weights("b_gate", "b_mag", "r_mag"))
    yield Identity("neuron.0", 4, text="mine")
    yield Partition("head.0", (3, 1))


@pytest.mark.parametrize("i", range(8))
def test_every_type_comes_back_bit_for_bit(tmp_path, weights, x, i):
    made = list(every_type(weights))[i]
    made.save(tmp_path / "a.safetensors")
    (back,) = Dictionary.load(tmp_path / "a.safetensors")
    assert type(back) is type(made)
    assert (back.reads, back.writes, back.meta, back.settings) == (made.reads, made.writes, made.meta, made.settings)
    assert all(torch.equal(t, back.state_dict()[name]) for name, t in made.state_dict().items())
    assert torch.equal(back.encode(x), made.encode(x)) and torch.equal(back.reconstruct(x), made.reconstruct(x))


def test_half_precision_is_kept(tmp_path, weights):
    ReLU("resid.1", centred=True, **weights()).to(torch.bfloat16).save(tmp_path / "a.safetensors")
    assert Dictionary.load(tmp_path)[0].W_enc.dtype == torch.bfloat16


def test_saving_leaves_one_file_and_asks_for_its_ending(tmp_path, weights):
    made = ReLU("resid.1", centred=True, **weights())
    made.save(tmp_path / "a.safetensors")
    made.save(tmp_path / "a.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    with pytest.raises(ValueError, match=r"must end in \.safetensors, as in 'resid\.1\.safetensors'"):
        made.save(tmp_path / "a.json")


def spoilt(path, drop=(), header=(), **tensors):
    """The same file with tensors dropped or replaced, and entries of its header changed."""
    plain = {"kind": "topk", "reads": "resid.1", "writes": "resid.1", "meta": "{}"}
    settings = json.dumps({"k": 3, "centred": True})
    held = {n: t for n, t in (load_file(path) | tensors).items() if n not in drop}
    save_file(held, path, {"clew": "1", "settings": settings} | plain | dict(header))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"drop": ["W_dec"]}, r"a\.safetensors holds no TopK dictionary: .*W_dec"),
        ({"b_enc": torch.zeros(6)}, r"b_enc .* has shape \(6,\).* must be \(7,\)"),
        ({"b_enc": torch.full((7,), torch.nan)}, "7 of the 7 values of b_enc in a.safetensors are not finite"),
        ({"surprise": torch.zeros(1), "header": {"kind": "topq"}}, "'topq' is not a type .* did you mean 'topk'"),
        ({"header": {"kind": "loading"}}, "'loading' is not a type"),
        ({"header": {"reads": "rezid.1"}}, "'rezid' is not a part of a model"),
        ({"header": {"clew": "7"}}, r"should say 'clew': '1' and says '7'; the file holds W_dec"),
        ({"header": {"settings": "{"}}, "Expecting property name"),
    ],
)
def test_a_spoilt_file_says_what_is_wrong(tmp_path, weights, spoil, message):
    path = tmp_path / "a.safetensors"
    TopK("resid.1", k=3, centred=True, **weights("b_enc")).save(path)
    spoilt(path, **spoil)
    with pytest.raises(ValueError, match=message) as caught:
        Dictionary.load(path)
    assert str(path) in str(caught.value)


def test_a_truncated_file_is_named(tmp_path, weights):
    path = tmp_path / "a.safetensors"
    ReLU("resid.1", centred=True, **weights()).save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"a\.safetensors is not a whole safetensors file .* bytes\)"):
        Dictionary.load(tmp_path)


def test_a_lost_or_foreign_tensor_is_seen_though_the_type_could_do_without(tmp_path, weights):
    path = tmp_path / "a.safetensors"
    made = ReLU("mlp_in.1", "mlp.1", centred=False, W_skip=torch.ones(4, 4), **weights("b_enc"))
    for lost in ("b_enc", "W_skip"):
        made.save(path)
        with safe_open(path, "pt") as file:
            tensors, said = {n: file.get_tensor(n).clone() for n in file.keys() if n != lost}, file.metadata()  # noqa: SIM118
        save_file(tensors, path, said)
        with pytest.raises(ValueError, match=r"a\.safetensors.*header has changed since it was written"):
            Dictionary.load(path)


def test_a_file_of_an_older_clew_must_hold_its_bias(tmp_path, weights):
    path = tmp_path / "a.safetensors"
    TopK("resid.1", k=3, centred=True, **weights("b_enc")).save(path)
    spoilt(path)  # which has no sum of its header
    assert Dictionary.load(path)[0].k == 3
    for spoil, said in (
        ({"drop": ["b_enc"]}, r"a\.safetensors holds no b_enc, and nothing says that it never did"),
        ({"surprise": torch.zeros(1)}, r"a\.safetensors also holds surprise"),
    ):
        TopK("resid.1", k=3, centred=True, **weights("b_enc")).save(path)
        spoilt(path, **spoil)
        with pytest.raises(ValueError, match=said):
            Dictionary.load(path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"settings": '{"k": 3, "centred": 1}'}, "centred is 1; true or false is due"),
        ({"settings": '{"k": 3.0, "centred": true}'}, "k is 3.0; a whole number is due"),
        ({"settings": '{"k": 3, "centred": true, "more": 1}'}, "settings of a.safetensors are .*more"),
        ({"settings": '{"k": 3, "k": 4, "centred": true}'}, "'k' is given twice"),
        (
            {"settings": '{"k": 3, "centred": true}', "meta": '{"k": 4}'},
            "says 'k' twice, in its tensors, settings or meta",
        ),
        ({"meta": "[]"}, r"meta of a.safetensors is \[\]; an object is due"),
        ({"meta": '{"loss": NaN}'}, "NaN is no number"),
        ({"meta": "[" * 9999}, "nested too deep"),
        ({"more": "x"}, "the header of a.safetensors has 'more', which is none of"),
    ],
)
def test_settings_are_what_the_type_would_write(tmp_path, weights, header, said):
    path = tmp_path / "a.safetensors"
    TopK("resid.1", k=3, centred=True, **weights("b_enc")).save(path)
    spoilt(path, header=header)
    with pytest.raises(ValueError, match=rf"a\.safetensors.*{said}"):
        Dictionary.load(path)


@pytest.mark.parametrize("bias", [torch.ones(7, dtype=torch.int64), torch.ones(7, dtype=torch.complex64)])
def test_weights_are_floats(tmp_path, weights, bias):
    path = tmp_path / "a.safetensors"
    TopK("resid.1", k=3, centred=True, **weights("b_enc")).save(path)
    spoilt(path, b_enc=bias)
    with pytest.raises(ValueError, match=rf"b_enc in a\.safetensors is of {bias.dtype}; floats are due"):
        Dictionary.load(path)


def test_what_is_no_number_is_written_as_null(tmp_path, weights):
    ReLU("resid.1", centred=True, loss=float("nan"), **weights("b_enc")).save(tmp_path / "a.safetensors")
    assert Dictionary.load(tmp_path)[0].meta == {"loss": None}

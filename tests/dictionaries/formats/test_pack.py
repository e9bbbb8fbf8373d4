import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clew.dictionaries import ITDA, AbsTopK, BatchTopK, Dictionary, Gated, Identity, JumpReLU, Partition, ReLU, TopK
from clew.dictionaries.formats.pack import quantised


def test_a_row_is_127_parts_of_its_largest_value():
    whole, scale = quantised(torch.tensor([[127.0, -63.4, 0.6], [0.0, 0.0, 0.0]]))
    assert whole.tolist() == [[127, -63, 1], [0, 0, 0]] and scale.tolist() == [1, 0]


def random(d=64, units=256, **more):
    g = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (d, units), "W_dec": (units, d), "b_enc": (units,), "b_dec": (d,)}
    return (
        {name: torch.randn(shape, generator=g) * d**-0.5 for name, shape in shapes.items()} | {"centred": True} | more
    )


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_weights_are_within_half_a_step_at_any_size(tmp_path, size):
    made = ReLU("resid.0", **random())
    made.W_enc *= size
    made.save(tmp_path / "a.pack.safetensors", format="pack")
    (back,) = Dictionary.load(tmp_path / "a.pack.safetensors")
    scale = load_file(tmp_path / "a.pack.safetensors")
    step = scale["W_enc.scale"].float()
    assert ((back.W_enc - made.W_enc).abs() <= 0.5001 * step).all() and step.shape == (256,)
    assert ((back.W_dec - made.W_dec).abs() <= 0.5001 * scale["W_dec.scale"].float()[:, None]).all()
    assert torch.equal(back.b_enc, made.b_enc) and back.W_enc.dtype == torch.float32


def test_a_reconstruction_changes_by_less_than_a_hundredth(tmp_path):
    x = torch.randn(200, 64, generator=torch.Generator().manual_seed(1))
    skip = torch.randn(64, 64, generator=torch.Generator().manual_seed(2)) / 8
    for made in (
        ReLU("mlp_in.0", "mlp.0", **random(W_skip=skip)),
        JumpReLU("resid.0", threshold=torch.zeros(256), **random()),
    ):
        made.save(tmp_path / "a.pack.safetensors", format="pack")
        (back,) = Dictionary.load(tmp_path)
        y = made.reconstruct(x)
        assert 0 < (back.reconstruct(x) - y).norm() / y.norm() < 1e-2


def test_every_type_comes_back_with_its_settings(tmp_path):
    w = random()
    atoms = torch.nn.functional.normalize(w["W_dec"], dim=1)
    bare = {name: t for name, t in w.items() if name != "b_enc"}
    per_unit = {name: torch.ones(256) for name in ("b_gate", "b_mag", "r_mag")}
    for made in (
        TopK("resid.1", k=3, text="mine", **w), AbsTopK("resid.1", k=3, **w), Gated("resid.1", **per_unit, **bare),
        BatchTopK("resid.1", threshold=torch.tensor(0.3), **w), ITDA("resid.1", atoms=atoms, b_dec=w["b_dec"], k=4),
        Identity("neuron.1", 4), Partition("head.1", (3, 1)), ReLU("resid.1", **bare),
    ):  # fmt: skip
        made.save(tmp_path / "a.pack.safetensors", format="pack")
        (back,) = Dictionary.load(tmp_path / "a.pack.safetensors")
        assert type(back) is type(made) and back.n_units == made.n_units
        assert (back.settings, back.meta, back.reads) == (made.settings, made.meta, made.reads)


def test_it_is_a_quarter_of_the_size(tmp_path):
    made = ReLU("resid.0", **random(d=256, units=1024))
    whole = made.save(tmp_path / "a.safetensors").stat().st_size
    assert made.save(tmp_path / "a.pack.safetensors", format="pack").stat().st_size < 0.27 * whole


def test_the_ending_tells_the_two_forms_apart(tmp_path):
    made = ReLU("resid.0", **random())
    with pytest.raises(ValueError, match=r"must end in \.pack\.safetensors, as in 'resid\.0\.pack\.safetensors'"):
        made.save(tmp_path / "a.safetensors", format="pack")
    with pytest.raises(ValueError, match=r"is the ending of format='pack'"):
        made.save(tmp_path / "a.pack.safetensors")
    made.save(tmp_path / "a.safetensors")
    made.save(tmp_path / "a.pack.safetensors", format="pack")
    with pytest.raises(
        ValueError, match=r"holds both a\.safetensors and a\.pack\.safetensors; pass the path of a file"
    ):
        Dictionary.load(tmp_path)
    (tmp_path / "a.safetensors").rename(tmp_path / "a.pack.safetensors")
    with pytest.raises(ValueError, match="should say 'clew pack': '1' and says None"):
        Dictionary.load(tmp_path)


def test_values_that_are_not_finite_are_refused(tmp_path):
    made = ReLU("resid.0", **random())
    made.W_enc[0, 0] = torch.nan
    with pytest.raises(ValueError, match="1 of the 16384 values of W_enc"):
        made.save(tmp_path / "a.pack.safetensors", format="pack")


def repacked(path, drop=(), header=(), **tensors):
    """A pack of an older clew, which had no sum of its header, with tensors dropped, replaced or added."""
    with safe_open(path, "pt") as file:
        said = {name: text for name, text in file.metadata().items() if name != "sum"}
        held = {name: file.get_tensor(name).clone() for name in file.keys() if name not in drop}  # noqa: SIM118
    save_file(held | tensors, path, said | dict(header))
    return path


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({}, ""),
        ({"drop": ["b_enc"]}, "holds no b_enc"),
        ({"drop": ["W_dec.scale"]}, r"has no 'W_dec\.scale'"),
        ({"drop": ["W_dec"]}, r"also holds W_dec\.scale"),
        ({"W_dec": torch.ones(256, 64)}, r"W_dec in a\.pack\.safetensors and its scale are torch\.float32"),
        ({"W_dec": torch.full((256, 64), -128, dtype=torch.int8)}, "holds numbers outside -127 to 127"),
        ({"W_dec.scale": -torch.ones(256).bfloat16()}, "or scales below 0"),
        ({"W_dec.scale": torch.full((256,), torch.nan).bfloat16()}, "values of scale in W_dec .* are not finite"),
        (
            {"W_dec.scale": torch.ones(255).bfloat16()},
            r"torch\.bfloat16 \[255\]; int8 \[row, column\] and bfloat16 \[row\]",
        ),
        (
            {"b_enc": torch.ones(256, dtype=torch.int64)},
            "b_enc in a.pack.safetensors is of torch.int64; floats are due",
        ),
    ],
)
def test_a_pack_holds_a_scale_for_each_matrix_and_nothing_else(tmp_path, spoil, said):
    path = ReLU("resid.0", **random()).save(tmp_path / "a.pack.safetensors", format="pack")
    repacked(path, **spoil)
    if not said:
        assert Dictionary.load(path)[0].n_units == 256
        return
    with pytest.raises(ValueError, match=rf"a\.pack\.safetensors.*{said}"):
        Dictionary.load(path)

import pytest
import torch

from clew.dictionaries import CrossLayerTranscoder, Dictionary
from tests.models.tiny import model_of

SITES = {"inputs": ["mlp_in.0", "mlp_in.1", "mlp_in.2"], "outputs": ["mlp.0", "mlp.1", "mlp.2"]}


def tensors(units: int = 5, d: int = 3, out: int = 4) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=g, dtype=torch.float64)  # noqa: E731
    made = {f"W_enc.{n}": draw(d, units) for n in range(3)} | {f"b_enc.{n}": draw(units) for n in range(3)}
    made |= {f"b_dec.{n}": draw(out) for n in range(3)}
    return made | {f"W_dec.{n}.{m}": draw(units, out) for n in range(3) for m in range(n, 3)}


@pytest.fixture
def made() -> CrossLayerTranscoder:
    return CrossLayerTranscoder(**SITES, k=2, **tensors(), steps=7)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(6, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_two_layers_of_one_unit_by_hand() -> None:
    one = lambda value: torch.tensor([[value]])  # noqa: E731
    zero = {f"{name}.{n}": torch.zeros(1) for name in ("b_enc", "b_dec") for n in range(2)}
    weights = {
        "W_enc.0": one(1.0),
        "W_enc.1": one(2.0),
        "W_dec.0.0": one(10.0),
        "W_dec.0.1": one(5.0),
        "W_dec.1.1": one(1.0),
    }
    made = CrossLayerTranscoder(inputs=["mlp_in.0", "mlp_in.1"], outputs=["mlp.0", "mlp.1"], k=1, **zero, **weights)
    assert made.encode(torch.tensor([3.0, 4.0])).tolist() == [3.0, 8.0]
    assert made.reconstruct(torch.tensor([3.0, 4.0])).tolist() == [30.0, 23.0]  # 23 = 5 * 3 + 8
    assert made.layer(1).reconstruct(torch.tensor([4.0])).tolist() == [8.0]


def test_no_layer_hears_of_a_later_one(made: CrossLayerTranscoder, x: torch.Tensor) -> None:
    other = torch.cat([x[:, :6], -x[:, 6:]], dim=1)
    same = (made.reconstruct(x) == made.reconstruct(other)).all(0)
    assert same.tolist() == [True] * 8 + [False] * 4


def test_write_and_pull_are_transposes(made: CrossLayerTranscoder) -> None:
    g = torch.Generator().manual_seed(2)
    code, grad = torch.randn(6, 15, generator=g).double(), torch.randn(6, 12, generator=g).double()
    torch.testing.assert_close((made.write(code) * grad).sum(), (code * made.pull(grad)).sum())
    assert (made.n_units, made.d_in, made.d_out) == (15, 9, 12)


def test_the_parts_of_the_first_layer_are_its_own_transcoder(made: CrossLayerTranscoder, x: torch.Tensor) -> None:
    alone = made.layer(0)
    torch.testing.assert_close(alone.encode(x[:, :3]), made.encode(x)[:, :5])
    torch.testing.assert_close(alone.reconstruct(x[:, :3]), made.reconstruct(x)[:, :4])
    assert (str(alone.reads), str(alone.writes)) == ("mlp_in.0", "mlp.0")


def test_it_comes_back_from_disk(made: CrossLayerTranscoder, x: torch.Tensor, tmp_path) -> None:
    (again,) = Dictionary.load(made.save(tmp_path / "clt.safetensors"))
    assert set(again.state_dict()) == set(tensors())
    assert torch.equal(again.reconstruct(x), made.reconstruct(x)) and again.fingerprint == made.fingerprint
    assert again.meta == {"steps": 7} and str(again.writes) == "mlp.2"


def test_a_model_is_not_seen_through_it_but_through_a_layer() -> None:
    model = model_of()
    d = model.body.widths[model.sites("mlp")[0]]
    made = CrossLayerTranscoder(**SITES, k=2, **{n: t.float() for n, t in tensors(d=d, out=d).items()})
    with pytest.raises(ValueError, match=r"reads several sites side by side.*cross_layer_transcoder.layer"):
        model.through(made)
    assert str(next(iter(model.through(made.layer(1)).dictionaries))) == "mlp.1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": ["mlp_in.0", "mlp_in.1"]}, "at least two layers in forward order"),
        ({"outputs": ["mlp.1", "mlp.0", "mlp.2"]}, "in forward order"),
        ({"inputs": ["resid.0", "resid.1", "resid.2"]}, "in forward order"),
        ({"W_dec.2.1": torch.zeros(5, 4)}, r"not so \['W_dec.2.1'\]"),
        ({"W_dec.0.2": torch.zeros(5, 3)}, r"W_dec.0.2 .* has shape \(5, 3\), not \(5, 4\)"),
        ({"k": 6}, "k is 6"),
        ({"reads": "mlp_in.1"}, "cannot be put at mlp_in.1"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CrossLayerTranscoder(**SITES | {"k": 2} | tensors() | change)

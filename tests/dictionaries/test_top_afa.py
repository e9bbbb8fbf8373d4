import pytest
import torch

from clew.dictionaries import Dictionary, TopAFA
from clew.dictionaries.top_afa import FIRST, matching


def test_three_units_by_hand():
    strong = torch.tensor([[3.0, 1.0, 4.0], [3.0, 1.0, 4.0], [3.0, 1.0, 4.0], [0.0, 0.0, 0.0]])
    # Together 4, 5 and 5.1 long: 4.4 is nearer to 4, 4.6 nearer to 5, 9 is out of reach, and nothing makes up nothing.
    index, kept = matching(strong, torch.tensor([4.4, 4.6, 9.0, 1.0]))
    assert [sorted(i[k].tolist()) for i, k in zip(index, kept, strict=True)] == [[2], [0, 2], [0, 1, 2], []]


def test_looking_at_more_units_ends_where_a_full_sort_does():
    g = torch.Generator().manual_seed(0)
    strong = torch.rand(20, 5 * FIRST, generator=g, dtype=torch.float64)
    length = torch.linspace(0.5, 11, 20, dtype=torch.float64)
    kept = matching(strong, length)[1].sum(1)
    total = strong.sort(dim=1, descending=True).values.square().cumsum(1).sqrt()
    assert kept.tolist() == ((total - length[:, None]).abs().argmin(1) + 1).tolist()
    assert kept.max() > 3 * FIRST


def test_a_long_direction_counts_for_more(weights, x):
    made = TopAFA("resid.0", centred=True, **weights())
    code = made.encode(x)
    act = made.preactivation(x).relu()
    for row, all, some in zip(x - made.b_dec, act * made.W_dec.norm(dim=1), code != 0, strict=True):
        order = all.argsort(descending=True)
        count = int((all[order].square().cumsum(0).sqrt() - row.norm()).abs().argmin()) + 1
        assert set(order[:count][all[order[:count]] > 0].tolist()) == set(some.nonzero()[:, 0].tolist())


def test_it_comes_back_from_disk(weights, x, tmp_path):
    made = TopAFA("resid.0", centred=True, **weights("b_enc"))
    made.save(tmp_path / "resid.0.safetensors")
    (again,) = Dictionary.load(tmp_path / "resid.0.safetensors")
    assert isinstance(again, TopAFA) and torch.equal(again.encode(x), made.encode(x))


def test_a_transcoder_cannot_take_its_bias_off_another_width(weights):
    with pytest.raises(ValueError, match="pass centred=False"):
        TopAFA("mlp_in.0", "mlp.0", centred=True, **weights() | {"W_dec": torch.ones(7, 3), "b_dec": torch.ones(3)})

import pytest
import torch

from clew.dictionaries import AbsTopK, Dictionary, TopK


def test_the_largest_sizes_survive_with_their_sign():
    w = {"W_enc": torch.eye(4), "b_enc": torch.zeros(4), "W_dec": torch.eye(4), "b_dec": torch.zeros(4)}
    made = AbsTopK("resid.0", k=2, centred=False, **w)
    assert made.encode(torch.tensor([[1.0, -3.0, 2.0, -0.5]])).tolist() == [[0, -3, 2, 0]]


def test_it_is_the_difference_of_two_topk_halves(weights, x):
    """With each unit beside its opposite, k rectified units of 2F hold the k largest sizes of F."""
    w = weights("b_enc")
    both = w | {n: torch.cat([w[n], -w[n]], dim=1 if n == "W_enc" else 0) for n in ("W_enc", "b_enc", "W_dec")}
    signed = AbsTopK("resid.0", k=3, centred=True, **w)
    halves = TopK("resid.0", k=3, centred=True, **both)
    up, down = halves.encode(x).split(7, dim=-1)
    torch.testing.assert_close(signed.encode(x), up - down)
    torch.testing.assert_close(signed.reconstruct(x), halves.reconstruct(x))


def test_it_comes_back_from_disk(weights, x, tmp_path):
    made = AbsTopK("resid.0", k=3, centred=True, **weights("b_enc"))
    made.save(tmp_path / "a.safetensors")
    (back,) = Dictionary.load(tmp_path / "a.safetensors")
    assert type(back) is AbsTopK and torch.equal(back.encode(x), made.encode(x))


def test_k_must_fit(weights):
    with pytest.raises(ValueError, match=r"k is 8, but the dictionary at resid\.0 has 7 units"):
        AbsTopK("resid.0", k=8, centred=True, **weights("b_enc"))

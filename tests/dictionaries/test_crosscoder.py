import pytest
import torch

from clew.dictionaries import Crosscoder, Dictionary
from tests.models.tiny import model_of

SITES, WIDTHS = ["resid.0", "mlp.1", "resid.1"], [2, 3, 4]


@pytest.fixture
def made() -> Crosscoder:
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=g, dtype=torch.float64)  # noqa: E731
    weights = {"W_enc": draw(9, 7), "b_enc": draw(7), "W_dec": draw(7, 9), "b_dec": draw(9)}
    return Crosscoder(
        sites=SITES,
        widths=WIDTHS,
        scales=[1.0, 2.0, 1.0],
        threshold=torch.tensor(0.5).double(),
        centred=True,
        **weights,
    )


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_two_sites_of_one_coordinate_by_hand() -> None:
    one = {"W_enc": torch.tensor([[1.0], [1.0]]), "W_dec": torch.tensor([[3.0, 4.0]]), "b_dec": torch.zeros(2)}
    made = Crosscoder(sites=["resid.0", "resid.1"], widths=[1, 1], centred=False, **one)
    assert made.encode(torch.tensor([0.5, 1.5])).tolist() == [2.0]
    assert made.reconstruct(torch.tensor([0.5, 1.5])).tolist() == [6.0, 8.0]
    assert made.at("resid.1").reconstruct(torch.tensor([0.5, 1.5])).tolist() == [8.0]
    assert made.norms().tolist() == [[3.0, 4.0]]


def test_the_preactivation_is_the_sum_over_sites_and_the_threshold_cuts_it(made: Crosscoder, x: torch.Tensor) -> None:
    each = zip(*(t.split(WIDTHS) for t in ((x - made.b_dec).T, made.W_enc)), strict=True)
    p = sum(part.T @ W for part, W in each) + made.b_enc
    torch.testing.assert_close(made.encode(x), torch.where(p > 0.5, p, 0.0))


def test_at_a_site_stands_that_part_of_the_reconstruction(made: Crosscoder, x: torch.Tensor) -> None:
    whole = made.reconstruct(x).split(WIDTHS, dim=1)
    for site, part in zip(SITES, whole, strict=True):
        torch.testing.assert_close(made.at(site).reconstruct(x), part)
    torch.testing.assert_close(made.norms()[:, 1], made.W_dec[:, 2:5].norm(dim=1) / 2)


def test_it_and_its_part_come_back_from_disk(made: Crosscoder, x: torch.Tensor, tmp_path) -> None:
    for some in (made, made.at("mlp.1")):
        (again,) = Dictionary.load(some.save(tmp_path / "crosscoder.safetensors"))
        assert torch.equal(again.reconstruct(x), some.reconstruct(x)) and again.fingerprint == some.fingerprint
        assert isinstance(again, Crosscoder) and again.sites == made.sites and again.written == some.written
        assert torch.equal(again.norms(), some.norms())


def test_the_fingerprint_knows_the_sites_between(made: Crosscoder) -> None:
    other = Crosscoder(
        **dict(made.named_buffers()), **made.settings | {"sites": ["resid.0", "attn.1", "resid.1"]} | {"written": None}
    )
    assert other.fingerprint != made.fingerprint and (other.reads, other.writes) == (made.reads, made.writes)


def test_a_model_is_not_seen_through_it(made: Crosscoder) -> None:
    for some in (made, made.at("resid.1")):
        with pytest.raises(ValueError, match=r"resid.0\+mlp.1\+resid.1.* reads several sites side by side"):
            model_of().through(some)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sites": ["resid.0"], "widths": [9]}, "at least two sites"),
        ({"sites": ["resid.0"] * 3}, "each once"),
        ({"widths": [2, 3, 5]}, r"do not fit W_enc \(9, 7\)"),
        ({"written": ["resid.7"]}, "writes some of resid.0"),
        ({"reads": "resid.4"}, "cannot be put at resid.4"),
    ],
)
def test_sites_that_do_not_fit_are_refused(made: Crosscoder, change: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Crosscoder(**dict(made.named_buffers()) | made.settings | {"written": None} | change)
    with pytest.raises(ValueError, match="does not write resid.5; it writes resid.0"):
        made.at("resid.5")

import pytest
import torch

from clew.dictionaries import Codebook, Dictionary


@pytest.fixture
def made(weights):
    w = weights()
    return Codebook("resid.0", codes=w["W_dec"], b_dec=w["b_dec"], k=3)


def test_two_codes_of_three_by_hand():
    codes = torch.tensor([[4.0, 0.0], [0.0, 0.5], [9.0, -9.0]])
    made = Codebook("resid.0", codes=codes, b_dec=torch.tensor([1.0, 1.0]), k=2)
    # x - b_dec is (2, 1): it goes 2, 1 and 0.7 along the three, however long they are.
    code = made.encode(torch.tensor([3.0, 2.0]))
    assert code.tolist() == [0.5, 0.5, 0.0]
    assert made.decode(code).tolist() == [3.0, 1.25]


def test_the_reconstruction_is_the_mean_of_k_codes(made, x):
    code = made.encode(x)
    assert ((code != 0).sum(1) == 3).all() and (code[code != 0] == 1 / 3).all()
    for row, y in zip(code, made.reconstruct(x), strict=True):
        torch.testing.assert_close(y, made.codes[row != 0].mean(0) + made.b_dec)


def test_a_change_of_x_is_written_back_along_the_codes_that_are_on(made, x):
    delta = torch.tensor([0.3, -1.0, 0.2, 0.7], dtype=torch.float64)
    _, change = torch.func.jvp(made.reconstruct, (x[0],), (delta,))
    on = torch.nn.functional.normalize(made.codes[made.encode(x[0]) != 0], dim=1)
    torch.testing.assert_close(change, (on @ delta) @ on)


def test_write_and_pull_are_transposes(made):
    code, grad = torch.randn(3, 7, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close((made.write(code) * grad).sum(), (code * made.pull(grad)).sum())


def test_it_comes_back_from_disk(made, x, tmp_path):
    made.save(tmp_path / "resid.0.safetensors")
    (again,) = Dictionary.load(tmp_path / "resid.0.safetensors")
    assert torch.equal(again.encode(x), made.encode(x)) and again.fingerprint == made.fingerprint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 8}, "k is 8, but the codebook at resid.0 has 7 codes"),
        ({"b_dec": torch.zeros(3)}, r"must be \[unit, d_in\] and \[d_in\]"),
        ({"writes": "mlp.0"}, "reads and writes one site"),
    ],
)
def test_what_is_no_codebook_is_refused(made, change, said):
    with pytest.raises(ValueError, match=said):
        Codebook("resid.0", **{"codes": made.codes, "b_dec": made.b_dec, "k": 3} | change)

import pytest
import torch

from clew.dictionaries import Dictionary
from clew.dictionaries.itda import ITDA


def unit(n: int, d: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, d, generator=g, dtype=torch.float64), dim=1)


@pytest.fixture
def made():
    return ITDA("resid.0", atoms=unit(30, 8), b_dec=torch.full((8,), 0.3, dtype=torch.float64), k=5)


@pytest.fixture
def x():
    return torch.randn(50, 8, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def plain(dictionary: ITDA, x: torch.Tensor) -> torch.Tensor:
    """Matching pursuit as it is told: project on the nearest atom, take it off, again."""
    code = torch.zeros(len(x), dictionary.n_units, dtype=x.dtype)
    for row, some in enumerate(x - dictionary.b_dec):
        left = some.clone()
        for _ in range(dictionary.k):
            product = dictionary.atoms @ left
            best = int(product.abs().argmax())
            code[row, best] += product[best]
            left = left - product[best] * dictionary.atoms[best]
    return code


def test_two_rounds_by_hand():
    atoms = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    made = ITDA("resid.0", atoms=atoms, b_dec=torch.zeros(2, dtype=torch.float64), k=2)
    # The products are 0 and 1.6; taking 1.6 d1 off leaves (-0.96, 0.72), of which d0 takes -0.96.
    found = made.encode(torch.tensor([0.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([-0.96, 1.6], dtype=torch.float64))


def test_the_gram_form_equals_the_plain_loop(made, x):
    torch.testing.assert_close(made.encode(x), plain(made, x), rtol=1e-12, atol=1e-12)


def test_more_rounds_leave_less(made, x):
    left = [(ITDA("resid.0", atoms=made.atoms, b_dec=made.b_dec, k=k).reconstruct(x) - x).norm() for k in (1, 3, 9)]
    assert left[0] > left[1] > left[2]


def test_the_gradient_is_that_of_the_values_on_their_support(made, x):
    x = x[0].clone().requires_grad_()
    direction = unit(1, 8, seed=3)[0]
    weight = torch.randn(30, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    (grad,) = torch.autograd.grad(made.encode(x) @ weight, x)
    h = 1e-6
    change = (made.encode(x + h * direction) - made.encode(x - h * direction)) @ weight / (2 * h)
    assert (grad @ direction).item() == pytest.approx(change.item(), rel=1e-6)


def test_write_and_pull_are_transposes_and_decode_adds_the_centre(made):
    code, grad = torch.randn(3, 30, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    torch.testing.assert_close((made.write(code) * grad).sum(), (code * made.pull(grad)).sum())
    torch.testing.assert_close(made.decode(code), made.write(code) + made.b_dec)


def test_it_comes_back_from_disk(made, x, tmp_path):
    made.save(tmp_path / "resid.0.safetensors")
    (again,) = Dictionary.load(tmp_path / "resid.0.safetensors")
    assert torch.equal(again.encode(x), made.encode(x)) and again.fingerprint == made.fingerprint


def test_atoms_of_another_length_are_refused():
    with pytest.raises(ValueError, match="lengths from 2 to 2"):
        ITDA("resid.0", atoms=2 * torch.eye(3), b_dec=torch.zeros(3), k=1)


def test_a_transcoder_is_refused():
    with pytest.raises(ValueError, match="reads and writes one site"):
        ITDA("mlp_in.0", "mlp.0", atoms=torch.eye(3), b_dec=torch.zeros(3), k=1)

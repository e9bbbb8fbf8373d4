import pytest
import torch

from clew.dictionaries import JumpReLU, ReLU
from clew.training import Plan, train
from clew.training.objective import Clock
from clew.training.objectives._coder import Coder
from clew.training.objectives.gba import Groups, gba
from tests.training.planted_rows import rows

HELD = Groups(highest=0.5, lowest=0.1, groups=2, every=10, rate=0.25)


def started(x: torch.Tensor, **options: object) -> Coder:
    fit = gba(units=4, groups=2, highest=0.5, lowest=0.1, rate=0.25, **options)
    fit.start(x, x, torch.Generator().manual_seed(0))
    return fit


def test_biases_by_hand():
    fit = started(10 * rows(100)[0].double())
    assert HELD.often(fit).tolist() == pytest.approx([0.5, 0.5, 0.1, 0.1])
    fit.state |= {
        "bias": torch.tensor([-1.0, -1.0, -1.0, -2.0]).double(),
        "rows": torch.tensor(100.0).double(),
        "on": torch.tensor([60.0, 40.0, 20.0, 0.0]).double(),
        "peak": torch.tensor([4.0, 4.0, 6.0, 0.0]).double(),
    }
    HELD.adapt(fit)
    # On too often: a quarter of its peak down. As it should be: left. Never on: a quarter of its group's peak up.
    assert fit.state["bias"].tolist() == pytest.approx([-2.0, -1.0, -2.5, -0.5])
    assert fit.state["rows"] == 0 and fit.state["on"].sum() == 0


def test_a_bias_stays_between_the_length_of_a_row_and_zero():
    fit = started(rows(100)[0].double())
    fit.state |= {"on": torch.tensor([99.0, 99.0, 0.0, 9.0]).double(), "rows": torch.tensor(100.0).double()}
    fit.state["peak"] = torch.tensor([1e3, 1e3, 0.0, 1e3]).double()
    HELD.adapt(fit)
    assert fit.state["bias"][:3].tolist() == pytest.approx([-float(fit.size), -float(fit.size), 0.0])


def test_what_is_seen_is_counted_since_the_last_look():
    x = rows(300)[0].double()
    fit = started(x, every=7)
    fit.state["bias"] -= 0.3
    for some in x.split(100):
        fit.loss(some, some, Clock(1, 9))
    above = (x - fit.tensors["b_dec"]) @ fit.tensors["W_dec"].T - 0.3
    torch.testing.assert_close(fit.state["on"], (above > 0).sum(0).double())
    torch.testing.assert_close(fit.state["peak"], above.amax(0))
    fit.settle(Clock(6, 9))
    assert fit.state["rows"] == 300
    fit.settle(Clock(7, 9))
    assert fit.state["rows"] == 0


@pytest.mark.parametrize(("gate", "kind"), [("jump", JumpReLU), ("relu", ReLU)])
def test_units_are_on_about_as_often_as_their_group_may_be(gate, kind):
    x = rows(6000, units=24, d=16)[0]
    options = {"units": 24, "highest": 0.2, "lowest": 0.05, "groups": 2, "gate": gate}
    (made,) = train({"resid.1": 5 * x + 1}, [Plan("gba", "resid.1", options=options)], steps=300, batch=256)
    often = (made.encode(5 * x + 1) != 0).float().mean(0)
    assert isinstance(made, kind)
    assert (often[:12] < 0.24).all() and (often[12:] < 0.07).all() and (often > 0.01).float().mean() > 0.9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"highest": 0.1, "lowest": 0.2}, "0 < lowest <= highest < 1"),
        ({"groups": 30}, "groups is 30; it must lie between 1 and the number of units, 24"),
        ({"every": 0}, "every=0 must be at least 1 step"),
        ({"rate": 1.5}, "rate=1.5 a share above 0 and below 1"),
    ],
)
def test_what_cannot_be_adapted_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        gba(units=24, **options)

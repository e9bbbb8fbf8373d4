"""Plans: what they are called, what they ask for, and what does not go together."""

import pytest

from clew.training import Plan
from clew.training.objectives.topk import topk
from clew.training.plan import seed_of


def test_the_title_names_the_site_written_the_objective_and_its_numbers() -> None:
    plan = Plan("transcoder", "mlp_in.3", "mlp.3", {"units": 24, "k": 2}, seed=5)
    assert plan.title == "mlp.3-transcoder-k2-units24-seed5"
    assert plan.plain()["reads"] == ["mlp_in.3"] and plan.plain()["writes"] == ["mlp.3"]


def test_a_function_makes_an_objective_as_its_name_does() -> None:
    made = [Plan(by, "resid.3", options={"units": 24, "k": 2}) for by in (topk, "topk")]
    assert [plan.title for plan in made] == ["resid.3-topk-k2-units24"] * 2
    assert len({plan.made().design.read for plan in made}) == 1


def test_no_two_purposes_share_a_seed() -> None:
    seeds = {seed_of(name, n) for name in ("round 0", "round 1", "round 10", "a") for n in range(50)}
    assert len(seeds) == 200


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan("topk", "resid.1", options={"unit": 4}), "no option 'unit'"),
        (Plan("topk", "resid.1", options={"units": 4}), "needs the option 'k'"),
        (Plan("topk", ["resid.1", "resid.2"], options={"units": 4, "k": 1}), "topk reads one site; 2 were given"),
        (Plan("transcoder", "mlp.1", options={"units": 4, "k": 1}), "give `writes`"),
        (Plan("relu", "mlp_in.1", "mlp.1", {"units": 4}), "relu writes what it reads"),
    ],
)
def test_what_does_not_go_together_is_refused(plan: Plan, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan.made()

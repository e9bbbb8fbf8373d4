"""Fast Forward: the last step again, while it helps."""

from clew.training import Plan, train
from tests.training.planted_rows import rows


def test_fast_forward_repeats_steps_that_help_and_says_what_it_spared() -> None:
    x = {"resid.1": rows(3000)[0]}
    slow = Plan("topk", "resid.1", options={"units": 24, "k": 2, "lr": 1e-4})
    plain, fast = (train(x, [slow], steps=60, batch=1024, fast_forward=n)[0] for n in (0, 10))
    last = [d.meta["trained"]["last"] for d in (plain, fast)]
    assert last[1]["repeated"] > 10 and last[1]["saved_flops"] > 0
    assert last[1]["unexplained"] < last[0]["unexplained"]

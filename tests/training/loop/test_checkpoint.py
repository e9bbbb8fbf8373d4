"""Every objective, stopped at a checkpoint and taken up again, ends where it would have ended, bit for bit."""

import inspect
from pathlib import Path

import pytest

from clew.finder import load, names
from clew.training import Plan, train
from tests.training.planted_rows import rows

SITES = {
    "transcoder": ("mlp_in.1", "mlp.1"),
    "skip_transcoder": ("mlp_in.1", "mlp.1"),
    "crosscoder": (["mlp.0", "mlp.1"], None),
    "crosscoder_l1": (["mlp.0", "mlp.1"], None),
    "cross_layer_transcoder": (["mlp_in.0", "mlp_in.1"], ["mlp.0", "mlp.1"]),
}
GIVEN = {"units": 24, "k": 2, "l0": 2.0, "half": False, "dead_after": 300}


class Stopped(Exception):
    """In the middle of a run."""


@pytest.mark.parametrize("by", names("training.objectives"))
def test_a_stopped_run_ends_where_it_would_have_ended(by: str, tmp_path: Path) -> None:
    x = {site: rows(1200, seed=i)[0] for i, site in enumerate(("mlp_in.0", "mlp.0", "mlp_in.1", "mlp.1"))}
    known = inspect.signature(load("training.objectives", by)).parameters
    plan = Plan(by, *SITES.get(by, ("mlp.1", None)), options={n: v for n, v in GIVEN.items() if n in known})

    def stop(step: int, steps: int, told: dict[str, float]) -> None:
        if step == 17:
            raise Stopped

    (whole,) = train(x, [plan], steps=40, batch=100, to=tmp_path / "whole", save_every=0.0)
    with pytest.raises(Stopped):
        train(x, [plan], steps=40, batch=100, to=tmp_path / "stopped", save_every=0.0, progress=stop)
    (resumed,) = train(x, [plan], steps=40, batch=100, to=tmp_path / "stopped", save_every=0.0)
    assert resumed.fingerprint == whole.fingerprint
    assert (tmp_path / "whole" / "log.jsonl").read_text() == (tmp_path / "stopped" / "log.jsonl").read_text()
    tensors = [t for t in whole.state_dict().values() if t.is_floating_point()]
    assert all(t.isfinite().all() for t in tensors) and any(t.abs().sum() > 0 for t in tensors)

"""The loop: batches, resuming, many dictionaries at once, what it refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clew.dictionaries import Dictionary
from clew.readings.source import Rows
from clew.sites import Site
from clew.training import Plan, train
from clew.training.loop.batches import Batches, geometric_median
from tests.training.planted_rows import rows

PLAN = Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})


def batches(x: torch.Tensor, batch: int, round: int = 65_536) -> Batches:
    return Batches(Rows({"resid.1": x}, round), [PLAN], batch, 0, None)


def shown(data: Batches, steps: int, cursor: tuple[int, int] = (0, 0), step: int = 0) -> list[torch.Tensor]:
    s = data.scalings[Site.parse("resid.1")]
    return [b.rows(PLAN)[0] * s.scale + s.centre for _, _, b in data.after(step, cursor, steps)]


def test_of_three_points_on_a_line_the_geometric_median_is_the_middle_one() -> None:
    assert geometric_median(torch.tensor([[0.0], [1.0], [5.0]])).item() == pytest.approx(1.0, abs=1e-3)


def test_batches_are_scaled_and_hold_no_outlier() -> None:
    x = torch.randn(5000, 16, generator=torch.Generator().manual_seed(0)) * 30 + 4
    x[::100] += 1e4
    data = batches(x, 512)
    some = torch.cat([b.rows(PLAN)[0] for _, _, b in data.after(0, (0, 0), 9)])
    assert some.norm(dim=1).mean() == pytest.approx(4, rel=0.05)
    assert max(y.norm(dim=1).max() for y in shown(data, 9)) < 1000


def test_an_epoch_of_several_rounds_shows_every_row_once() -> None:
    x = torch.arange(100.0)[:, None] + torch.zeros(1, 3)
    found = shown(batches(x, 16, round=48), steps=6)  # three rounds of two batches
    assert sorted(torch.cat(found)[:, 0].round().tolist()) == list(range(100))
    assert {len(f) for f in found} <= {16, 17}


def test_batches_go_on_from_a_cursor_as_they_would_have() -> None:
    x = rows(500)[0]
    data = batches(x, 64, round=200)
    whole = shown(data, 10)
    cursors = [cursor for _, cursor, _ in data.after(0, (0, 0), 10)]
    rest = shown(batches(x, 64, round=200), 10, cursors[6], 7)
    assert all(torch.equal(a, b) for a, b in zip(whole[7:], rest, strict=True)) and len(rest) == 3


def test_several_dictionaries_side_by_side_are_those_learnt_alone(tmp_path: Path) -> None:
    x = {"resid.1": rows(2000)[0], "mlp.1": rows(2000, seed=1)[0]}
    plans = [PLAN, Plan("topk", "mlp.1", options={"units": 30, "k": 3}), Plan("relu", "mlp.1", options={"units": 30})]
    together = train(x, plans, steps=20, batch=200, to=tmp_path / "run")
    alone = [train(x, [plan], steps=20, batch=200)[0] for plan in plans]
    assert [d.fingerprint for d in together] == [d.fingerprint for d in alone]
    assert [d.fingerprint for d in train(x, plans, steps=20, batch=200, to=tmp_path / "run")] == [
        d.fingerprint for d in alone
    ]
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 60 and lines[-1]["step"] == 20 and {"loss", "l0", "unexplained"} <= set(lines[-1])


def test_parts_of_a_batch_sum_to_the_gradient_of_the_whole() -> None:
    plan = Plan("relu", "resid.1", options={"units": 24})
    x = {"resid.1": rows(1000)[0]}
    one, four = (train(x, [plan], steps=12, batch=200, parts=n)[0] for n in (1, 4))
    torch.testing.assert_close(one.W_enc, four.W_enc, rtol=1e-3, atol=1e-4)


def test_fast_forward_repeats_steps_that_help_and_says_what_it_spared() -> None:
    x = {"resid.1": rows(3000)[0]}
    slow = Plan("topk", "resid.1", options={"units": 24, "k": 2, "lr": 1e-4})
    plain, fast = (train(x, [slow], steps=60, batch=1024, fast_forward=n)[0] for n in (0, 10))
    last = [d.meta["trained"]["last"] for d in (plain, fast)]
    assert last[1]["repeated"] > 10 and last[1]["saved_flops"] > 0
    assert last[1]["unexplained"] < last[0]["unexplained"]


KILLED = """
import sys, torch
sys.path.insert(0, {root!r})
from clew.training import Plan, train
from tests.training.planted_rows import rows
torch.set_num_threads(1)
options = {{"units": 24, "k": 2}}
plans = [Plan("topk", "resid.1", options=options | {{"half": False}}), Plan("itda", "resid.1", options=options)]
def told(step, steps, log):
    print(step, flush=True)
train({{"resid.1": rows(2000)[0]}}, plans, to=sys.argv[1], steps=150, batch=200, save_every=0.0, progress=told)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_losses_and_weights(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    script = KILLED.format(root=root)
    run = lambda folder: [sys.executable, "-c", script, str(tmp_path / folder)]  # noqa: E731
    subprocess.run(run("whole"), check=True, stdout=subprocess.DEVNULL)
    for stop in ("37", "90"):
        with subprocess.Popen(run("killed"), stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if line.strip() == stop:
                    os.kill(process.pid, signal.SIGKILL)
                    break
    assert not list((tmp_path / "killed").glob("*.safetensors"))
    subprocess.run(run("killed"), check=True, stdout=subprocess.DEVNULL)
    files = sorted(f.name for f in (tmp_path / "whole").iterdir())
    assert files == sorted(f.name for f in (tmp_path / "killed").iterdir()) and len(files) == 4
    for name in files:
        one, two = tmp_path / "whole" / name, tmp_path / "killed" / name
        if name.endswith(".safetensors"):
            assert Dictionary.load(one)[0].fingerprint == Dictionary.load(two)[0].fingerprint, name
        else:
            assert one.read_bytes() == two.read_bytes(), name  # every loss of every step


def test_an_interrupted_run_saves_and_goes_on(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    x = {"resid.1": rows(500)[0]}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def interrupt(step: int, steps: int, told: dict[str, float]) -> None:
        if step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(x, [PLAN], steps=20, batch=100, to=tmp_path / "one", progress=interrupt)
    assert [p.name for p in (tmp_path / "one").glob("checkpoint-*")] == ["checkpoint-7"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (resumed,) = train(x, [PLAN], steps=20, batch=100, to=tmp_path / "one")
    (whole,) = train(x, [PLAN], steps=20, batch=100)
    assert resumed.fingerprint == whole.fingerprint


def test_a_mistake_leaves_nothing_behind(tmp_path: Path) -> None:
    for options in ({"units": 24, "k": 30}, {"unit": 24, "k": 3}, {"units": 24}):
        with pytest.raises(ValueError, match=r"k is 30|no option 'unit'|needs the option 'k'"):
            train({"resid.1": rows(500)[0]}, [Plan("topk", "resid.1", options=options)], steps=2, to=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    x = {"resid.1": rows(500)[0]}
    train(x, [PLAN], steps=2, batch=100, to=tmp_path)
    with pytest.raises(ValueError, match="another run, with other steps"):
        train(x, [PLAN], steps=3, batch=100, to=tmp_path)


@pytest.mark.parametrize(
    ("x", "plans", "said"),
    [
        (torch.ones(9, 3), [PLAN], "are equal"),
        (torch.full((9, 3), torch.nan), [PLAN], "not finite"),
        (rows(99)[0], [], "no plan"),
        (rows(99)[0], [PLAN, PLAN], "same file"),
        (rows(99)[0], [Plan("topk", "resid.7", options={"units": 4, "k": 2})], "resid.7 is not among"),
        (rows(99)[0], [Plan("topkk", "resid.1")], "topk"),
        (rows(99)[0], [Plan("topk", "resid.1", "mlp.1", {"units": 4, "k": 2})], "resid.1 -> mlp.1"),
        (rows(99)[0], [Plan("topk", "resid.1", options={"units": 4, "k": 2, "lr": 1e30})], "not finite|lower its lr"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused(x: torch.Tensor, plans: list[Plan], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        train({"resid.1": x, "mlp.1": x}, plans, steps=20, batch=20)

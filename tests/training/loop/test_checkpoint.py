"""Every objective, stopped at a checkpoint and taken up again, ends where it would have ended, bit for bit."""

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from clew.dictionaries import Dictionary
from clew.finder import load, names
from clew.tensors import read_tensors, write_tensors
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


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    x, plan = {"resid.1": rows(500)[0]}, Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})
    train(x, [plan], steps=2, batch=100, to=tmp_path)
    with pytest.raises(ValueError, match="another run, with other steps"):
        train(x, [plan], steps=3, batch=100, to=tmp_path)


def test_two_runs_do_not_learn_in_one_folder(tmp_path: Path) -> None:
    x, plan = {"resid.1": rows(500)[0]}, Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})

    def meanwhile(step: int, steps: int, told: dict[str, float]) -> None:
        with pytest.raises(ValueError, match=rf"both is in use by process {os.getpid()} on .* \(training\)"):
            train(x, [plan], steps=4, batch=100, to=tmp_path / "both")

    (alone,) = train(x, [plan], steps=4, batch=100, to=tmp_path / "alone")
    (both,) = train(x, [plan], steps=4, batch=100, to=tmp_path / "both", progress=meanwhile)
    assert both.fingerprint == alone.fingerprint
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == names
    assert (tmp_path / "both" / "log.jsonl").read_text() == (tmp_path / "alone" / "log.jsonl").read_text()
    (loaded,) = train(
        x, [plan], steps=4, batch=100, to=tmp_path / "both", progress=meanwhile
    )  # a finished one is loaded
    assert loaded.fingerprint == alone.fingerprint


def test_a_checkpoint_that_a_killed_run_had_begun_is_swept_away(tmp_path: Path) -> None:
    x, plan = {"resid.1": rows(500)[0]}, Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})
    (tmp_path / "checkpoint-1.part").mkdir()
    train(x, [plan], steps=2, batch=100, to=tmp_path)
    assert not list(tmp_path.glob("checkpoint*"))


def begun(folder: Path) -> Path:
    """The newest checkpoint of a run that was stopped."""

    def stop(step: int, steps: int, told: dict[str, float]) -> None:
        if step == 5:
            raise Stopped

    with pytest.raises(Stopped):
        learn(folder, progress=stop)
    return next(folder.glob("checkpoint-*"))


def learn(folder: Path, **options: object) -> None:
    plan = Plan("topk", "mlp.1", options={"units": 24, "k": 2, "half": False})
    train({"mlp.1": rows(1200)[0]}, [plan], steps=9, batch=100, to=folder, save_every=0.0, **options)


def without(tensors: dict, name: str) -> dict:
    return {n: t.clone() for n, t in tensors.items() if n != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: {**without(t, ""), "tensors.W_enc": next(iter(t.values())).clone() * torch.nan}, "are not finite"),
        (lambda t: {**without(t, ""), "other.W": torch.ones(1)}, "there is no 'other' where one is due"),
    ],
)
def test_a_part_that_holds_something_else_is_named(tmp_path: Path, change: object, said: str) -> None:
    part = begun(tmp_path) / "0.safetensors"
    tensors, head = read_tensors(part)
    write_tensors(part, change(tensors), head)
    with pytest.raises(ValueError, match=rf"0\.safetensors.*{said}|{said}.*0\.safetensors|0\.safetensors"):
        learn(tmp_path)


def test_a_part_whose_tensors_are_not_all_there_is_named(tmp_path: Path) -> None:
    part = begun(tmp_path) / "0.safetensors"
    tensors, _ = read_tensors(part)
    with safe_open(part, "pt") as file:
        said = file.metadata()
    save_file(without(tensors, next(name for name in tensors if name.startswith("state."))), part, said)
    with pytest.raises(ValueError, match=r"0\.safetensors is not a whole safetensors file \(its header has changed"):
        learn(tmp_path)
    part.write_bytes(part.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"0\.safetensors is not a whole safetensors file"):
        learn(tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"step": 3}, "is of step 3, which its folder is not"),
        ({"cursor": [0]}, "not enough values to unpack|checkpoint"),
        ({"cursor": "01"}, "cursor is '01'; a list is due"),
        ({"log": -1}, "log is -1; it is at least 0"),
        ({"version": 2}, "version is 2; it is one of 1"),
        ({"more": 1}, "has 'more', which is none of"),
    ],
)
def test_a_state_that_is_none_is_refused_before_the_log_is_cut(tmp_path: Path, changed: dict, said: str) -> None:
    state = begun(tmp_path) / "checkpoint.json"
    log = (tmp_path / "log.jsonl").read_bytes()
    state.write_text(json.dumps(json.loads(state.read_text()) | changed))
    with pytest.raises(ValueError, match=rf"checkpoint\.json.*({said})"):
        learn(tmp_path)
    assert (tmp_path / "log.jsonl").read_bytes() == log

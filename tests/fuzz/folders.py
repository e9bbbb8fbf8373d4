"""Doors of what reads whole folders for a person or an agent, and of what runs a saved result again."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from clew.apps._desk import runs
from clew.apps._desk.answers import RunShown
from clew.apps._desk.circuits import report_of, shown
from clew.apps._desk.desk import Desk
from clew.apps._desk.folder import Folder
from clew.apps._desk.weights import check_weights
from clew.apps.agent._shown import show
from clew.circuits.verdicts import Verdict, Verdicts
from clew.files import write_json
from clew.scale.manifest import Manifest, key_of
from clew.scale.map import map
from clew.studies.replication._numbers import Number
from clew.studies.replication._recorded import recorded
from clew.studies.replication.replicate import Replication
from clew.studies.replication.rerun import Rerun
from tests.fuzz.doors import circuit, door, fires, noise, report, vectors


def listed(folder: Path) -> Any:
    """What the studio says of each file; what it cannot open or passes over as an error."""
    items = Desk.at(folder).items.every()
    for item in items:
        if item.problem is not None:
            raise ValueError(f"{folder / item.path}: {item.problem}")
    found = {item.path for item in items}
    if missing := [path.name for path in folder.iterdir() if path.name not in found]:
        raise ValueError(f"{missing[0]} is passed over")
    return [dataclasses.replace(item, bytes=0, modified=0.0) for item in items]


@door("files of a folder", listed, "apps/_desk/items")
def _(folder: Path) -> Path:
    circuit().save(folder / "c.json")
    report().save(folder / "r.json")
    vectors().save(folder / "v.safetensors")
    rerun().save(folder / "again.json")
    fires(folder / "index")
    return folder


@door("a circuit as it is shown", lambda path: shown(Folder(path.parent), path.name), "apps/_desk/circuits")
def _(folder: Path) -> Path:
    Verdicts({"resid.0/3": Verdict("drop", "she", "Ada", "2026-01-31")}, {}).save(folder / "c.verdicts.json")
    return circuit().save(folder / "c.json")


@door("reports by dictionary", lambda path: report_of(Folder(path.parent), path.name)[:1])
def _(folder: Path) -> Path:
    return write_json(folder / "r.json", {"resid.1": report().to_json()})


def worked(folder: Path) -> Any:
    """What a folder of work holds; what is damaged of it as an error, as long as it is not made again."""
    manifest = Manifest(folder)
    keys = [key_of(item) for item in ({"n": 1}, {"n": 2})]
    return [manifest.counts(), list(manifest.results(keys)), manifest.aside()]


@door("items that were worked on", worked, "scale/manifest")
def _(folder: Path) -> Path:
    map(lambda item: {"told": [item["n"], 0.5]}, [{"n": 1}, {"n": 2}], folder=folder / "w")
    return folder / "w"


@door("a run that was kept", runs._read, "apps/_desk/runs")
def _(folder: Path) -> Path:
    said = RunShown(
        id="ab12",
        verb="find",
        title="a title",
        state="running",
        done=3,
        total=9,
        said="a step",
        seconds=1.5,
        left=2.0,
        result=None,
        error=None,
        command="clew find",
        resumes=False,
        started=3.0,
    )
    asked = {"verb": "find", "args": {"model": "tiny"}, "name": None}
    record = {"format": runs.FORMAT, "version": runs.VERSION, "by": "elsewhere 12", "asked": asked}
    return write_json(folder / "ab12.json", record | {"shown": dataclasses.asdict(said)})


@door("weights in parts", lambda path: check_weights(path, path.name), "apps/_desk/weights")
def _(folder: Path) -> Path:
    save_file({"a": noise(2)}, folder / "model-1.safetensors")
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": {"a": "model-1.safetensors"}})
    return folder


def rerun() -> Rerun:
    numbers = (
        Number("faithfulness", 0.5, 0.5, "same", 0.25, 0.75),
        Number("score", 1.0, math.nan, "not there"),
    )
    return Rerun("r.json, run again", (Replication("r.json", numbers, ("part 2: no model",), ("a note",), 1.5),))


@door("what was run again", Rerun.load, "studies/replication/rerun")
def _(folder: Path) -> Path:
    return rerun().save(folder / "again.json")


@door("what was run again, to an agent", lambda path: show(Desk.at(path.parent), path.name), "apps/agent/_shown")
def _(folder: Path) -> Path:
    return rerun().save(folder / "again.json")


def again(path: Path) -> Any:
    """What can be run again; a file of numbers alone as an error, as `replicate` says it."""
    if not (found := recorded(path)):
        raise ValueError(f"{path} holds no record of a run")
    return found


@door("results that can be run again", again, "studies/replication/_recorded")
def _(folder: Path) -> Path:
    return report().save(folder / "r.json")

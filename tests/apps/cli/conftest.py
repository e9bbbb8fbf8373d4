"""Places where commands are tried: one where all is a toy, one where every model is tiny."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import clew
from clew import finder
from clew.apps import _starts  # noqa: F401 - it takes the finder's `load` before the toys replace it
from clew.explain import top_tokens  # noqa: F401 - it is replaced by its name
from clew.measures.circuits import predicted_effects
from clew.readings import contrast
from clew.report import Report, Row
from clew.studies.comparison import selections  # noqa: F401 - so does it
from tests.apps.cli.toys import small_circuit, steady
from tests.models.tiny import model_of, relu_dictionary

KIND, RUDE = (
    ("the nurse said that she was good", "the doctor was very good"),
    ("the king was not good", "old man said no"),
)
PAIRS = [("nurse", "king", "she", "he"), ("queen", "man", "she", "he"), ("woman", "king", "she", "he")]
PEOPLE = ("nurse", "doctor", "king", "queen", "man", "woman")


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A command line whose model, behaviours, methods and measures are toys; what they were called with."""
    calls: dict[str, Any] = {}

    class Task:
        note, aligned = "", True

        def filter(self, view: object) -> object:
            calls["filtered"] = view
            return self

        def prompts(self) -> list[str]:
            return ["a prompt"]

        def with_metric(self, metric: str) -> object:
            calls["metric"] = metric
            return self

        @property
        def train(self) -> object:
            return "the training half"

        @classmethod
        def load(cls, name: str, **options: Any) -> object:
            calls["behaviour"] = (name, options)
            return cls()

    def find(view: object, task: object, nodes: object = None, *, by: str, **options: Any) -> object:
        calls["find"] = {"view": view, "by": by, "nodes": nodes, **options}
        return small_circuit()

    def tried(view: object, task: object, circuit: object, *, nodes: int, progress: object) -> object:
        calls["tried"] = (task, nodes)
        return circuit

    def verify(view: object, task: object, nodes: Any, *, by: str, **options: Any) -> Report:
        calls["verify"] = {"by": by, "nodes": len(nodes), **options}
        return Report("toy", (Row("faithfulness", 0.5, 0.4, 0.6, "features", 3, 9),))

    monkeypatch.setattr(clew, "open", lambda name, **options: f"model {name}", raising=False)
    monkeypatch.setattr(clew, "find", find, raising=False)
    monkeypatch.setattr(clew, "verify", verify, raising=False)
    monkeypatch.setattr(predicted_effects, "with_predicted_effects", tried)
    monkeypatch.setattr(sys.modules["clew.explain.top_tokens"], "top_tokens", lambda view, circuit, texts: circuit)
    monkeypatch.setattr(clew, "Behaviour", Task, raising=False)
    monkeypatch.setattr(contrast, "check_view", lambda view, circuit: None)
    monkeypatch.setattr(finder, "load", lambda folder, name: steady)
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where every model is tiny, with pairs, texts, and labelled texts in its few words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clew, "open", lambda name, **_: model_of(name), raising=False)
    rows = [{"text": t, "tone": tone} for tone, texts in (("kind", KIND), ("rude", RUDE)) for t in texts]
    Path("tones.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("text.txt").write_text("the nurse said that she was not very good .\n\nthe old man and the king .\n")
    pairs = [
        {"clean_prefix": f"{the} {one} said that", "patch_prefix": f"{the} {other} said that", "clean_answer": " she",
         "patch_answer": " he"}
        for the in ("the", "a", "old") for one, other in pairwise(PEOPLE)
    ]  # fmt: skip
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A behaviour in a file, dictionaries in another, and a model that is opened by any name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clew, "open", lambda name, **options: model_of())
    rows = [
        {
            "clean_prefix": f"the {one} {word} that",
            "patch_prefix": f"the {other} {word} that",
            "clean_answer": f" {yes}",
            "patch_answer": f" {no}",
        }
        for one, other, yes, no in PAIRS
        for word in ("said", "was")
    ]
    Path("task.jsonl").write_text("\n".join(map(json.dumps, rows)))
    relu_dictionary(model_of(), "resid.1").save("d.safetensors")

"""What is given at a door is looked at there: a wrong kind is named by its name, and what would do is said."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import clew
from clew.doors import door
from clew.report import Row
from tests.models.tiny import model_of
from tests.planted import random_behaviour, random_dictionary, tiny_model

MODEL, TASK = tiny_model("llama"), random_behaviour()
TEXTS = ["the old king said", "a man"]


@door(b="twice is enough")
def taken(
    a: int, b: Sequence[str] | Row = (), *more: Path, c: float | None = None, d: torch.Tensor | None = None
) -> str:
    """Something with a door."""
    return f"{a}{b}{more}{c}"


def test_what_is_of_the_right_kind_goes_through():
    assert taken(1, ["x"], Path("p"), c=2) == "1['x'](PosixPath('p'),)2"
    assert taken(np.int64(1), c=np.float32(2), d=torch.ones(2)) == "1()()2.0"
    assert taken.__name__ == "taken" and taken.__doc__ == "Something with a door."


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: taken("1"), "taken takes a number as a=; '1' was given$"),
        (lambda: taken(1, "xy"), "taken takes a list or a Row as b=; 'xy' was given; twice is enough"),
        (lambda: taken(1, (), 3), "taken takes a path as more=; 3 was given"),
        (lambda: taken(1, c=[2]), "taken takes a number as c=; a list was given"),
        (lambda: taken(1, d=[2]), "taken takes a tensor as d=; a list was given"),
    ],
)
def test_another_kind_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def swapped(verb: Callable) -> Callable:
    return lambda: verb(TASK, MODEL, by="mean_difference")


CASES: dict[str, tuple[Callable, str]] = {
    "find, exchanged": (swapped(clew.find), "find takes a Model as model=; a Behaviour was given; model and behaviour stand in each other's place"),
    "edit, exchanged": (swapped(clew.edit), "edit takes a Model as model=; a Behaviour was given; model and evidence stand in"),
    "probe, exchanged": (swapped(clew.probe), "probe takes a Model as model=; .* model and evidence stand in"),
    "verify, exchanged": (lambda: clew.verify(TASK, MODEL, clew.Stack(())), "verify takes a Model as model=; .* model and evidence stand in"),
    "verify, a claim in the evidence's place": (lambda: clew.verify(MODEL, clew.Stack((clew.Scale("resid.1", factor=0.0),)), TASK), "verify takes a Circuit or a Dictionary or a Stack as claim=; a Behaviour was given"),
    "a model by its name": (lambda: clew.find("smollm2-135m", TASK), r"takes a Model as model=; 'smollm2-135m' was given; clew.open\(name\) opens one"),
    "one site where several are read": (lambda: MODEL.run(torch.ones(1, 3, dtype=torch.long), read="resid.0"), r"run takes a list as read=; 'resid.0' was given; give a list, read=\['resid.0'\]"),
    "a folder for dictionaries": (lambda: MODEL.through("folder"), r"through takes a Dictionary as dictionaries=; 'folder' was given; clew.Dictionary.load\(path\) opens"),
    "a list of dictionaries": (lambda: MODEL.through([random_dictionary("resid.0", 32)]), "through takes a Dictionary as dictionaries=; a list was given"),
    "no model": (lambda: clew.open(None), r"open_model takes a str or a path or a Module as name=; None was given; give a bundled name \(smollm2-135m"),
    "a number for a dtype": (lambda: clew.open(MODEL.body.module, dtype=16), "takes a dtype or a str as dtype=; 16 was given"),
    "a dtype that is none": (lambda: clew.open(MODEL.body.module, dtype="int8"), r"'int8' is not a dtype that clew runs in; use one of float32, float16, bfloat16, float64"),
    "a device that is none": (lambda: clew.open(MODEL.body.module, device="gpu"), "'gpu' is not a device; use cpu, cuda, a certain one such as cuda:1, or mps"),
    "texts for windows": (lambda: clew.edit(model_of(), clew.Facts.one("the {} said", "king", "he"), by="rome", text=TEXTS), r"edit takes a Windows as text=; a list was given; clew.cut\(texts, model.tokenizer\) makes them"),
    "one site to record": (lambda: clew.record(model_of(), TEXTS, sites="resid.0", to="unused"), r"give a list, sites=\['resid.0'\]"),
    "a model for a tokenizer": (lambda: clew.cut(TEXTS, model_of()), "cut takes a PreTrainedTokenizerBase as tokenizer=; a Model was given"),
    "a number to continue": (lambda: model_of().generate(5), "generate takes .* as prompts=; 5 was given"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_door_says_what_is_wanted(case):
    call, words = CASES[case]
    with pytest.raises(ValueError, match=words):
        call()

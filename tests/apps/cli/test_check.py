"""clew check: what was measured, line by line, and one verdict."""

import json

import pytest

import clew
from clew.models.selfcheck import selfcheck
from tests.apps.cli.toys import typed
from tests.models.tiny import model_of

pytestmark = pytest.mark.usefixtures("place")


def test_of_a_model_that_holds_every_promise_all_is_said_to_hold(capsys):
    assert typed("check llama") == 0
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert lines == "\n".join(selfcheck(model_of("llama").body).lines).splitlines() and lines
    assert verdict == "everything holds"


def test_what_does_not_hold_is_marked_and_refused(monkeypatch, capsys):
    model = model_of("llama")
    model.body.module.model.layers[1].register_forward_hook(lambda m, args, output: 1.5 * output)
    monkeypatch.setattr(clew, "open", lambda name, **_: model, raising=False)
    assert typed("check llama") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "what is marked above is refused for this model"
    assert typed("check llama --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(json.dumps(selfcheck(model.body).to_json())) and "everything" not in str(said)


def test_the_machine_is_that_of_the_options(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        clew, "open", lambda name, **how: asked.update(how, name=name) or model_of("gpt2"), raising=False
    )
    assert typed("check some/model --dtype float64 --device cpu") == 0
    assert asked == {"name": "some/model", "dtype": "float64", "device": "cpu"}

"""Quick dictionaries: fitted once, then loaded; a killed run goes on with the next site."""

from pathlib import Path

import pytest
import torch

from clew.training import quick
from clew.training.quick import quick_dictionaries
from tests.models.tiny import model_of

TEXTS = ["the nurse said that she was not very good . The old king and the red queen said that he was good ."] * 12
OPTIONS = {"units": 24, "k": 3, "steps": 60, "batch": 64, "tokens": 200, "context": 12}


def test_fitted_dictionaries_sit_at_their_sites_and_explain(tmp_path: Path) -> None:
    model = model_of()
    found = quick_dictionaries(model, TEXTS, sites=["resid.2", "resid.0"], to=tmp_path, **OPTIONS)
    lens = model.through(*found)
    assert [str(s) for s in lens.dictionaries] == ["resid.0", "resid.2"]
    run = lens.run(model.tokens(["the nurse said that she was not very good ."])[0], read=["resid.0"])
    centred = run["resid.0"][:, 1:] - run["resid.0"][:, 1:].mean((0, 1))
    assert run.error("resid.0")[:, 1:].square().sum() < 0.7 * centred.square().sum()
    assert not list(tmp_path.rglob("shard-*"))


def test_the_second_time_they_are_only_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    first = quick_dictionaries(model, TEXTS, sites=["resid.0"], to=tmp_path, **OPTIONS)
    monkeypatch.setattr(quick, "record", None)
    second = quick_dictionaries(model, TEXTS, sites=["resid.0"], to=tmp_path, **OPTIONS)
    assert [d.fingerprint for d in first] == [d.fingerprint for d in second]


def test_a_killed_run_goes_on_with_the_next_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, fit, fitted = model_of(), quick.topk, []

    def killed(x: torch.Tensor, **options: object) -> object:
        fitted.append(str(options["reads"]))
        if len(fitted) == 2:
            raise KeyboardInterrupt
        return fit(x, **options)

    monkeypatch.setattr(quick, "topk", killed)
    with pytest.raises(KeyboardInterrupt):
        quick_dictionaries(model, TEXTS, sites=["resid.0", "resid.1"], to=tmp_path, **OPTIONS)
    quick_dictionaries(model, TEXTS, sites=["resid.0", "resid.1"], to=tmp_path, **OPTIONS)
    assert fitted == ["resid.0", "resid.1", "resid.1"]

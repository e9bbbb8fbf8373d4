"""Packs that packages bring: a stranger's beside ours, none at all, two of one name; and what clew-packs holds."""

import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from clew.dictionaries import Dictionary, ReLU
from clew.dictionaries import packs as module
from clew.labels import Labels

CLEW_PACKS = Path(__file__).parent.parent.parent / "packs"
in_a_clone = pytest.mark.skipif(not CLEW_PACKS.exists(), reason="clew-packs lies beside clew in a clone alone")


@pytest.fixture
def brings(tmp_path, monkeypatch, weights):
    """Installs a package that brings packs, each with two sites, under an entry point of its own."""
    installed = []
    monkeypatch.setattr(module, "entry_points", lambda group: installed if group == "clew.packs" else [])
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def install(entry, package, *names):
        (tmp_path / package / "code").mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        for name in names:
            folder = tmp_path / package / name
            folder.mkdir()
            for site in ("resid.10", "resid.2"):
                made = ReLU(site, centred=True, **weights("b_enc"))
                made.save(folder / f"{site}.pack.safetensors", format="pack")
        installed.append(EntryPoint(entry, package, "clew.packs"))
        return tmp_path / package

    yield install
    for entry in installed:
        sys.modules.pop(entry.value, None)


def test_a_strangers_pack_opens_by_its_name(brings):
    brings("stranger", "brought_by_a_stranger", "tiny-model", "other.model")
    assert [str(d.reads) for d in Dictionary.load("tiny-model")] == ["resid.2", "resid.10"]
    assert list(module.packs()) == ["other.model", "tiny-model"]  # the folder of code is none


def test_a_pack_says_what_its_units_mean(brings):
    folder = brings("stranger", "brought_with_names", "tiny-model") / "tiny-model"
    said = Labels.of({"resid.2/1": "cats", "resid.2/3": "dogs"})
    said.save(folder / "resid.2.labels.json.gz")
    assert module.pack_labels("tiny-model") == module.pack_labels("tiny-model", ["resid.2"]) == said
    assert module.pack_labels("tiny-model", ["resid.10"]) == Labels()
    assert [str(d.reads) for d in Dictionary.load("tiny-model")] == ["resid.2", "resid.10"]
    with pytest.raises(ValueError, match="no pack 'tiny'; installed packs: tiny-model"):
        module.pack_labels("tiny")
    with pytest.raises(ValueError, match=r"sites is the text 'resid.2'; give a list, as \['resid.2'\]"):
        module.pack_labels("tiny-model", "resid.2")


def test_a_path_of_that_name_comes_first(brings, weights, tmp_path, monkeypatch):
    brings("stranger", "brought_second", "tiny-model")
    (tmp_path / "here" / "tiny-model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    ReLU("mlp.1", centred=True, **weights("b_enc")).save(Path("tiny-model") / "mlp.1.safetensors")
    assert [str(d.reads) for d in Dictionary.load("tiny-model")] == ["mlp.1"]


def test_without_any_pack_the_error_says_how_to_come_by_ours(brings):
    wanted = r"no pack is installed; clew's own come by pip install 'clew\[packs\]', in a clone of clew by pip install -e \./"
    with pytest.raises(ValueError, match=rf"no file or folder 'smollm2-135m' .*; {wanted}packs$"):
        Dictionary.load("smollm2-135m")


def test_with_a_strangers_alone_the_error_names_both(brings):
    brings("stranger", "brought_alone", "tiny-model")
    with pytest.raises(
        ValueError, match=r"installed packs: tiny-model; clew's own come by pip install 'clew\[packs\]'"
    ):
        Dictionary.load("smollm2-135m")


def test_with_ours_the_error_lists_what_is_there(brings):
    brings("clew", "brought_by_us", "tiny-model")
    with pytest.raises(ValueError, match="; installed packs: tiny-model$"):
        Dictionary.load("tinymodel")


def test_one_name_from_two_packages_is_refused(brings):
    one, two = brings("one", "brought_one", "tiny-model"), brings("two", "brought_two", "tiny-model", "mine")
    with pytest.raises(
        ValueError, match=f"more than one .* pass the path of one: {one}/tiny-model and {two}/tiny-model$"
    ):
        Dictionary.load("tiny-model")
    assert len(Dictionary.load("mine")) == len(Dictionary.load(one / "tiny-model")) == 2


def test_an_entry_point_that_is_no_package_is_refused(brings, monkeypatch):
    monkeypatch.setattr(module, "entry_points", lambda group: [EntryPoint("odd", "json.decoder", group)])
    with pytest.raises(ValueError, match=r"'odd' of clew\.packs is 'json\.decoder', which is no package"):
        module.packs()


@in_a_clone
def test_clew_packs_names_its_package():
    about = tomllib.loads((CLEW_PACKS / "pyproject.toml").read_text())
    assert about["project"]["entry-points"]["clew.packs"] == {module.OURS: "clew_packs"}
    assert about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["clew_packs"]
    clew = tomllib.loads((CLEW_PACKS.parent / "pyproject.toml").read_text())
    assert clew["project"]["optional-dependencies"]["packs"] == [f"{about['project']['name']}>=0.2"]


@in_a_clone
def test_the_numbers_of_the_pack_are_those_of_the_results():
    found = Dictionary.load(CLEW_PACKS / "clew_packs" / "smollm2-135m")
    assert [str(d.reads) for d in found] == [f"resid.{i}" for i in range(30)]
    assert found[0].fingerprint == "bb7090539b06687c" and found[29].fingerprint == "6024627a0cdff5a4"

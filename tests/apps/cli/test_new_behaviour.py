"""A file of pairs to fill in is a behaviour as it stands."""

import pytest

from clew import Behaviour
from clew.apps.cli import run


@pytest.mark.parametrize("name", ["mine.csv", "mine.tsv"])
def test_what_is_written_can_be_asked_and_is_never_written_over(tmp_path, capsys, name):
    path = tmp_path / name
    assert run(["new-behaviour", str(path)]) == 0
    assert "clew find MODEL" in capsys.readouterr().err
    task = Behaviour.load(path)
    assert len(task) == 4 and not task.aligned and task.name == "mine" and task.baseline == "patch"
    assert all(p.answers[0].startswith(" ") and p.patch_answers != p.answers for p in task.pairs)
    path.write_text("mine")
    assert run(["new-behaviour", str(path)]) == 1 and path.read_text() == "mine"
    assert "is there already and stays as it is" in capsys.readouterr().err


def test_another_kind_of_file_is_refused(tmp_path, capsys):
    assert run(["new-behaviour", str(tmp_path / "mine.txt")]) == 1
    assert ".csv or .tsv" in capsys.readouterr().err

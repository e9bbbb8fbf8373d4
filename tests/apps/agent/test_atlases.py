"""An atlas as an agent reads it."""

import shutil
from pathlib import Path

from clew.apps._desk.desk import Desk
from clew.apps.agent._shown import show
from tests.studies.atlas.toys import small


def test_an_atlas_is_told_by_its_largest_behaviours_and_its_numbers_beside_chance(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    shutil.copy(small().folder / "atlas.json", tmp_path / "a")
    told = show(Desk.at(tmp_path), "a/atlas.json", 2)
    assert told.kind == "atlas" and [line.partition(":")[0] for line in told.lines] == ["0", "1"]
    number = told.numbers[0]
    assert number.name == "faithfulness mean, 5 nodes" and number.floor == told.numbers[1].value < number.value
    assert told.grounds.command == "clew atlas --resume --to a" and told.grounds.split.startswith("test")
    assert "the 2 largest of 8 behaviours are told" in told.notes

"""Parquet: the tables are sorted as they say, and what is read back is the index that was written."""

from pathlib import Path

import pytest
from pyarrow import parquet

from clew.readings.index.taken import taken
from tests.readings.index.planted import indexed, signed_dictionary, words_dictionary


def test_the_tables_are_sorted_and_come_back(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", words_dictionary(), signed_dictionary())
    folder = index.export(tmp_path / "tables", format="parquet")
    table = parquet.read_table(folder / "resid.1" / "0-40.parquet").to_pylist()
    assert [*table[0]] == ["unit", "place", "window", "position", "token", "value"]
    order = [(row["unit"], -abs(row["value"]), row["place"]) for row in table]
    assert order == sorted(order) and len(order) == index.summary("resid.1").count.sum()
    assert all(row["token"] == index.tokens[row["place"]] for row in table)
    back = taken(folder, to=tmp_path / "back")
    assert back.words == index.words and back.documents.tolist() == index.documents.tolist()
    assert back.text.kept.tolist() == index.text.kept.tolist() and back.about["positions"] == index.about["positions"]
    for unit in range(40):
        assert back.row("resid.1", unit).place.tolist() == index.row("resid.1", unit).place.tolist()
        assert back.row("resid.1", unit).value.tolist() == index.row("resid.1", unit).value.tolist()
        assert back.nearest("resid.1", unit, "cofiring") == index.nearest("resid.1", unit, "cofiring")


def test_a_table_that_is_cut_off_or_missing_is_named(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", signed_dictionary())
    path = index.export(tmp_path / "tables", format="parquet") / "resid.1" / "0-40.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"0-40.parquet is no Parquet file"):
        taken(tmp_path / "tables", to=tmp_path / "one")
    path.unlink()
    with pytest.raises(ValueError, match="does not hold the tables of its 40 units"):
        taken(tmp_path / "tables", to=tmp_path / "two")

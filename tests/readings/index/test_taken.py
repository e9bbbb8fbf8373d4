"""Indices of others: what is in no known format is said."""

from pathlib import Path

import pytest

from clew.readings.index.taken import taken
from tests.readings.index.planted import files, indexed, signed_dictionary


def test_what_is_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in none of the formats delphi, neuronpedia, parquet"):
        taken(tmp_path, to=tmp_path / "index")
    with pytest.raises(ValueError, match="there is no .*nowhere"):
        taken(tmp_path / "nowhere", to=tmp_path / "index")


def test_another_export_does_not_go_into_the_same_folder(tmp_path: Path) -> None:
    for k in (3, 4):
        indexed(tmp_path / f"index {k}", signed_dictionary(k=k)).export(tmp_path / f"export {k}", format="delphi")
    taken(tmp_path / "export 3", to=tmp_path / "made")
    made = files(tmp_path / "made")
    taken(tmp_path / "export 3", to=tmp_path / "made")
    assert files(tmp_path / "made") == made
    with pytest.raises(ValueError, match="holds another index .it differs in sites"):
        taken(tmp_path / "export 4", to=tmp_path / "made")

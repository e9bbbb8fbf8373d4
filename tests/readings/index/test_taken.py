"""Indices of others: what is in no known format is said."""

from pathlib import Path

import pytest

from clew.readings.index.taken import taken


def test_what_is_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in none of the formats delphi, neuronpedia, parquet"):
        taken(tmp_path, to=tmp_path / "index")
    with pytest.raises(ValueError, match="there is no .*nowhere"):
        taken(tmp_path / "nowhere", to=tmp_path / "index")

"""A process that a scheduler has started."""

import pytest

from clew.scale.map import map
from tests.scale import toys


def test_the_processes_of_a_job_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert list(map(toys.twice, [1], on="array", folder=tmp_path / "w")) == [{"twice": 2}]
    with pytest.raises(ValueError, match="share a folder"):
        map(toys.twice, [1], on="array")
    with pytest.raises(ValueError, match="the scheduler's to say"):
        map(toys.twice, [2], on="array", folder=tmp_path / "w", workers=2)


def test_without_a_scheduler_it_says_so(tmp_path, monkeypatch):
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="no scheduler has started this process"):
        map(toys.twice, [1], on="array", folder=tmp_path / "w")

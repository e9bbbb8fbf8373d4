import pytest

from clew.scale.workers import Workers
from clew.studies.comparison.results import Results
from clew.studies.comparison.spread import spread
from tests.studies.comparison.test_circuits import BROKEN, CALLS, SPY, bench, cells, inside  # noqa: F401


def plain(found):
    """What decides of cells; seconds and memory differ from run to run."""
    return [(c.key, c.select, c.failed, c.report.get("rows")) for c in found]


def test_the_cells_of_workers_are_those_of_one_process_and_are_not_made_again(tmp_path):
    made = bench([SPY, BROKEN])
    want, jobs = cells(made), [str(job) for job in made.jobs]
    out = tmp_path / "b.json"
    assert spread(lambda: made, jobs, out, Workers()).aside == ()
    assert plain(made.cells(Results.at(out))) == plain(want) and not out.with_name("b.json.work").exists()
    CALLS.clear()
    spread(lambda: made, jobs, out, Workers())
    assert CALLS == [] and plain(made.cells(Results.at(out))) == plain(want)


def test_a_worker_that_cannot_start_is_an_error_and_the_folder_stays(tmp_path):
    with pytest.raises(ZeroDivisionError):
        spread(lambda: 1 / 0, ["a job"], tmp_path / "b.json", Workers())
    assert (tmp_path / "b.json.work").exists()

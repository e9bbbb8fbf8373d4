"""Two processes learn together: each its own rows of one dictionary, or each its own units of it."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from clew.scale import processes
from clew.sites import Site
from clew.training import Plan, train
from clew.training.loop.batches import Batch
from clew.training.loop.fit import Fit
from clew.training.objective import Clock, Scaling
from tests.training.planted_rows import rows

SITE = Site.parse("resid.1")
OPTIONS = {"units": 25, "k": 3, "half": False, "lr": 2e-3}
MINE = [slice(0, 50), slice(50, 160)]
"""The rows of a batch that each process sees: not equally many."""


def steps(by: str, mine: slice, dead_after: int) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The tensors and losses of some steps on some rows of each batch, in float64."""
    x = rows(160 * 12)[0].double()
    plan = Plan(by, SITE, options=OPTIONS | {"dead_after": dead_after}, name="fit")
    fit = Fit(plan, {SITE: Scaling(torch.zeros(12).double(), torch.ones(12).double())})
    fit.start(batch(x[:400]))
    if by == "topk" or processes.rank() == 0:
        fit.objective.tensors["b_enc"].data[:9] = -9.0  # nine units, all of the first process, die
    losses = []
    for step, some in enumerate(x.split(160), 1):
        fit.step(batch(some[mine]), Clock(step, 12), parts=1)
        losses.append(fit.log["loss"])
    return dict(fit.finished({}).named_buffers()) | {"dead": torch.tensor(fit.log["dead"])}, losses


def batch(x: torch.Tensor) -> Batch:
    return Batch({SITE: x}, {SITE: torch.ones(len(x), dtype=torch.bool)})


def run(by: str, to: Path, stop: int | None = None) -> dict[str, torch.Tensor] | None:
    """The tensors of a short run whose rows, and first rows, are this process's own; None where it is stopped."""

    def told(step: int, *_: object) -> None:
        if step == stop:
            raise InterruptedError

    x = rows(1200)[0][processes.rank() :: 2] + processes.rank()
    try:
        plan = Plan(by, SITE, options=OPTIONS)
        (made,) = train({SITE: x}, [plan], steps=20, batch=100, to=to, save_every=0.0, progress=told)
    except InterruptedError:
        return None
    return dict(made.named_buffers())


def work(rank: int, to: str) -> None:
    """All that two processes do for this file: starting them takes the most of the time."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{to}/meet", rank=rank, world_size=2)
    here = Path(to)
    found = {"units": steps("topk_sharded", MINE[rank], 300), "rows": steps("topk", MINE[rank], 10**6)}
    for by in ("topk", "topk_sharded"):
        found[f"{by} whole"] = run(by, here / f"{by} whole")
        run(by, here / f"{by} stopped", stop=9)
        found[f"{by} parts"] = len(list((here / f"{by} stopped").glob("checkpoint-8/*.safetensors")))
        dist.barrier()
        found[f"{by} again"] = run(by, here / f"{by} stopped")
    torch.save(found, here / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of the two processes found."""
    to = tmp_path_factory.mktemp("both")
    mp.spawn(work, args=(str(to),), nprocs=2)
    return [torch.load(to / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
def test_units_divided_over_two_processes_learn_what_one_process_learns(both: list[dict]) -> None:
    alone, losses = steps("topk", slice(None), 300)
    for made, told in (found["units"] for found in both):
        assert told == pytest.approx(losses, rel=1e-10)
        for name, tensor in alone.items():
            torch.testing.assert_close(made[name], tensor, rtol=1e-8, atol=1e-10, msg=name)
    assert alone["dead"] == pytest.approx(9 / 25)  # more than can help at once, so the best of them are chosen


@pytest.mark.slow
def test_rows_divided_over_two_processes_learn_what_one_process_learns(both: list[dict]) -> None:
    alone, _ = steps("topk", slice(None), 10**6)
    for made, _ in (found["rows"] for found in both):
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            torch.testing.assert_close(made[name], alone[name], rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("by", "parts"), [("topk", 1), ("topk_sharded", 2)])
def test_a_run_of_two_processes_that_stopped_goes_on_as_it_would_have(both: list[dict], by: str, parts: int) -> None:
    whole = both[0][f"{by} whole"]
    for found in both:
        assert found[f"{by} parts"] == parts
        for name, tensor in whole.items():
            assert torch.equal(found[f"{by} whole"][name], tensor) and torch.equal(found[f"{by} again"][name], tensor)


def test_alone_it_is_topk() -> None:
    (one, a), (two, b) = (steps(by, slice(None), 300) for by in ("topk", "topk_sharded"))
    assert a == pytest.approx(b, rel=1e-12)
    assert all(torch.allclose(t, two[name], rtol=1e-9, atol=1e-12) for name, t in one.items())


def test_k_beyond_the_units_is_refused() -> None:
    with pytest.raises(ValueError, match="k is 30"):
        train({SITE: rows(99)[0]}, [Plan("topk_sharded", SITE, options={"units": 24, "k": 30})], steps=1)

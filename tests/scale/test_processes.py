"""What two processes tell each other, by hand; alone, nothing is told."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from clew.scale import processes


def test_alone_every_function_gives_back_what_it_was_given() -> None:
    x, state = torch.arange(6.0).view(3, 2), {"idle": torch.tensor([3])}
    processes.join()
    processes.share({"x": x})
    processes.wait()
    processes.average({"x": x}, state, rows=3)
    assert (processes.count(), processes.rank(), processes.largest(7), processes.device()) == (1, 0, 7, None)
    assert processes.gather(x) is x and processes.summed(x) is x and x.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert state["idle"].tolist() == [3]


def work(rank: int, to: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{to}/meet", rank=rank, world_size=2)
    mine = torch.tensor([[1.0], [2.0]]) if rank == 0 else torch.tensor([[5.0]])
    found = {"gathered": processes.gather(mine), "summed": processes.summed(mine.sum())}
    found["largest"] = torch.tensor(processes.largest(rank + 3))
    shared = {"b": torch.tensor([rank + 1.0])}
    processes.share(shared)
    gradients = {"W": mine.mean(0)}
    state = {"idle": torch.tensor([9, 2]) if rank == 0 else torch.tensor([4, 6]), "mean": torch.tensor(float(rank))}
    processes.average(gradients, state, rows=len(mine))
    torch.save(found | shared | gradients | state, Path(to) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_by_hand(tmp_path: Path) -> None:
    mp.spawn(work, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        found = {n: t.tolist() for n, t in torch.load(tmp_path / f"{rank}.pt", weights_only=True).items()}
        assert found["gathered"] == [[1.0], [2.0], [5.0]] and found["summed"] == 8.0 and found["largest"] == 4
        assert found["b"] == [1.0]  # the first one's
        assert found["W"] == pytest.approx([8 / 3])  # the mean over all three rows
        assert found["idle"] == [4, 2] and found["mean"] == 0.5

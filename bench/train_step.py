"""How many tokens a second does a TopK training step take in, against SAELens, sparsify and the floor?

Environment: python 3.11, torch 2.13.0, a venv of its own with the peers:
    python -m venv peers && peers/bin/pip install torch==2.13.0 sae-lens==6.54.12 eai-sparsify==1.3.3 cyclopts
Run:  PYTHONPATH=. peers/bin/python bench/train_step.py [--threads 2] [--rounds 5]       (5 minutes; on a GPU seconds)

Same rows for all: d 576, 4608 units, k 32, batch 4096, float32 weights. A step is forward, backward, optimiser and
whatever bookkeeping the library does in its own step. Rounds alternate, and the best of each counts. The floor is
what must be multiplied once everything after top-k is sparse: 2 d F + 4 * 2 k d operations a token, at the speed of the
best matrix product of the same shape in the same precision, measured in the same rounds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F

from bench._log import log

D, UNITS, K, BATCH = 576, 4608, 32, 4096


def rows(n: int, device: str) -> torch.Tensor:
    """Sums of 20 of 6,000 directions, and a mean."""
    g = torch.Generator().manual_seed(7)
    directions = F.normalize(torch.randn(6000, D, generator=g), dim=1)
    code = torch.rand(n, 20, generator=g) * 6
    x = F.embedding_bag(torch.randint(0, 6000, (n, 20), generator=g), directions, per_sample_weights=code, mode="sum")
    return (x + torch.randn(D, generator=g)).to(device)


def ours(x: torch.Tensor, half: bool) -> Callable[[torch.Tensor], None]:
    from clew.sites import Site
    from clew.training import Plan
    from clew.training.loop.batches import Batch, scaling
    from clew.training.loop.fit import Fit
    from clew.training.objective import Moment

    site, step = Site.parse("resid.9"), iter(range(1, 10**6))
    fit = Fit(Plan("topk", site, options={"units": UNITS, "k": K, "half": half}), {site: scaling(x, site)})
    everything = torch.ones(len(x), dtype=torch.bool, device=x.device)
    fit.start(Batch({site: x}, {site: everything}))
    return lambda some: fit.step(Batch({site: some}, {site: everything[: len(some)]}), Moment(next(step), 10**6), 1)


def saelens(x: torch.Tensor) -> Callable[[torch.Tensor], None]:
    """SAELens' trainer's own step: loss, firing statistics, clipping, Adam."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.saes.sae import TrainStepInput

    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=D, d_sae=UNITS, k=K, device=str(x.device)))
    adam = torch.optim.Adam(sae.parameters(), lr=1e-4, betas=(0.9, 0.999))
    since, often = torch.zeros(UNITS, device=x.device), torch.zeros(UNITS, device=x.device)

    def step(some: torch.Tensor) -> None:
        made = sae.training_forward_pass(
            TrainStepInput(
                sae_in=some, dead_neuron_mask=since > 1000, coefficients={}, n_training_steps=10, is_logging_step=False
            )
        )
        with torch.no_grad():
            fired = made.feature_acts.bool().float()
            since.add_(1)
            since[fired.sum(0).bool()] = 0
            often.add_(fired.sum(0))
        made.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        adam.step()
        adam.zero_grad()

    return step


def sparsify(x: torch.Tensor) -> Callable[[torch.Tensor], None]:
    """sparsify's trainer's step with Adam: loss, firing statistics, clipping, unit decoder rows."""
    from sparsify import SparseCoder, SparseCoderConfig

    sae = SparseCoder(D, SparseCoderConfig(num_latents=UNITS, k=K), device=x.device)
    adam = torch.optim.Adam(sae.parameters(), lr=1e-4)
    fired = torch.zeros(UNITS, dtype=torch.bool, device=x.device)

    def step(some: torch.Tensor) -> None:
        sae.set_decoder_norm_to_unit_norm()
        made = sae(some)
        made.fvu.backward()
        fired[made.latent_indices.flatten()] = True
        sae.remove_gradient_parallel_to_decoder_directions()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        adam.step()
        adam.zero_grad()

    return step


def seconds(work: Callable[[], object], x: torch.Tensor) -> float:
    if x.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    x = rows(4 * BATCH, "cuda" if torch.cuda.is_available() else "cpu")
    W, halves = torch.randn(UNITS, D, device=x.device), (x[:BATCH].bfloat16(), torch.randn_like(x[:UNITS]).bfloat16())
    steps = {
        "clew": ours(x, half=False), "clew, units chosen in bfloat16": ours(x, half=True), "SAELens": saelens(x),
        "sparsify": sparsify(x),
    }  # fmt: skip
    work = {name: lambda s=step, i=i: s(x[i * BATCH :][:BATCH]) for i, (name, step) in enumerate(steps.items())}
    work |= {"encoder product": lambda: x[:BATCH] @ W.T, "encoder product in bfloat16": lambda: halves[0] @ halves[1].T}
    best = dict.fromkeys(work, float("inf"))
    for name in work:
        work[name]()
    for _ in range(given.rounds):
        for name in work:
            best[name] = min(best[name], seconds(work[name], x))
    share = 1 + 4 * K / UNITS  # of the floor over the encoder product alone
    floor = best["encoder product"] * share
    table = [("", "ms a step", "tokens/s", "times the floor", "clew is so many times as fast")]
    for name, took in best.items():
        faster = f"{took / best['clew']:.2f}" if name in ("SAELens", "sparsify") else ""
        table.append((name, f"{1e3 * took:.0f}", f"{BATCH / took:,.0f}", f"{took / floor:.2f}", faster))
    half = best["clew, units chosen in bfloat16"]
    remark = (
        f"Units chosen in bfloat16 (what clew does by itself where that is faster): {best['SAELens'] / half:.2f} times "
        f"SAELens, {best['sparsify'] / half:.2f} times sparsify, {half / floor:.2f} times the float32 floor."
    )
    device = torch.cuda.get_device_name() if x.is_cuda else "CPU"
    log(f"train_step: one TopK step at d {D}, {UNITS} units, k {K}, batch {BATCH} on {device}", table, remark)


if __name__ == "__main__":
    main()

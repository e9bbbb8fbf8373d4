"""Cross-layer transcoders: units that write to their own layer and all later ones."""

import pytest
import torch

from clew.dictionaries import CrossLayerTranscoder
from clew.sites import Site
from clew.training import Plan, train
from clew.training.objective import Clock, Scaling
from clew.training.objectives._dead import AUXILIARY
from clew.training.objectives.cross_layer_transcoder import CrossLayers, cross_layer_transcoder
from tests.training.planted_rows import rows

READS = {Site.parse(f"mlp_in.{n}"): d for n, d in enumerate((12, 10, 8))}
WRITES = {Site.parse(f"mlp.{n}"): d for n, d in enumerate((9, 7, 11))}


def started(dead: list[int]) -> tuple[CrossLayers, torch.Tensor, torch.Tensor]:
    """In float64, with decoders that are not 0; and its rows."""
    g = torch.Generator().manual_seed(1)
    x, y = (torch.randn(150, d, generator=g, dtype=torch.float64) for d in (30, 27))
    fit = cross_layer_transcoder(units=20, k=3, half=False)
    fit.place(READS, WRITES)
    fit.start(x, y, torch.Generator().manual_seed(0))
    for name, tensor in fit.tensors.items():
        tensor += 0.1 * torch.randn(tensor.shape, generator=g, dtype=torch.float64)
        if name.startswith("b_enc"):
            layer = int(name[-1])
            tensor[[u - 20 * layer for u in dead if u // 20 == layer]] = -50.0
        tensor.requires_grad_()
    fit.state["idle"][dead] = 10**6
    return fit, x, y


@pytest.mark.parametrize("dead", [[], [3, 21, 22], list(range(40, 50))])
def test_the_loss_and_its_gradient_are_those_of_the_dense_formula(dead: list[int]) -> None:
    fit, x, y = started(dead)
    t, xs, ys = fit.tensors, x.split([12, 10, 8], dim=1), y.split([9, 7, 11], dim=1)
    raw = [xs[n] @ t[f"W_enc.{n}"].T + t[f"b_enc.{n}"] for n in range(3)]
    code = [torch.zeros_like(p).scatter(1, p.topk(3).indices, p.topk(3).values.relu()) for p in raw]
    out = [sum(code[n] @ t[f"W_dec.{n}.{m}"] for n in range(m + 1)) + t[f"b_dec.{m}"] for m in range(3)]
    plain = sum((a - b).square().sum() for a, b in zip(out, ys, strict=True)) / (y - y.mean(0)).square().sum()
    for n in range(3):
        if here := [u - 20 * n for u in dead if u // 20 == n]:
            left = torch.cat([(ys[m] - out[m]).detach() for m in range(n, 3)], dim=1)
            most = [9, 7, 11][n] // 2
            best = raw[n][:, here].topk(min(most, len(here)))
            guess = torch.zeros(150, len(here)).double().scatter(1, best.indices, best.values)
            guess = guess @ torch.cat([t[f"W_dec.{n}.{m}"][here] for m in range(n, 3)], dim=1)
            share = (guess - left).square().sum() / left.square().sum()
            plain = plain + AUXILIARY * min(1, len(here) / most) * share / 3
    found = fit.loss(x, y, Clock(1, 1))
    assert float(found.detach()) == pytest.approx(float(plain.detach()), rel=1e-12)
    for mine, theirs in zip(*(torch.autograd.grad(a, list(t.values())) for a in (found, plain)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_the_finished_dictionary_says_of_raw_rows_what_the_objective_says_of_scaled_ones() -> None:
    fit, x, _ = started([])
    g = torch.Generator().manual_seed(2)
    size = lambda widths, sizes: torch.cat([torch.full((d,), s) for d, s in zip(widths, sizes, strict=True)]).double()  # noqa: E731
    a = Scaling(torch.randn(30, generator=g).double(), size(READS.values(), (7.0, 0.3, 2.0)))
    b = Scaling(torch.randn(27, generator=g).double(), size(WRITES.values(), (0.1, 5.0, 1.0)))
    with torch.no_grad():
        done = fit.finish(list(READS), list(WRITES), a, b)
        torch.testing.assert_close(done.reconstruct(a.centre + a.scale * x), b.centre + b.scale * fit.reconstruct(x))


def test_a_unit_that_writes_two_layers_is_learnt_once() -> None:
    x, true = rows(4000)
    g = torch.Generator().manual_seed(7)
    early, late = (torch.nn.functional.normalize(torch.randn(24, 12, generator=g), dim=1) for _ in "ab")
    fired = (x @ true.T - 0.8).relu()
    noise = torch.randn(4000, 12, generator=g)  # layer 1 reads nothing that helps, so its output must come from layer 0
    source = {"mlp_in.0": 4 * x, "mlp_in.1": noise, "mlp.0": fired @ early, "mlp.1": 30 * fired @ late}
    options = {"units": 32, "k": 3, "half": False}
    plans = [
        Plan("cross_layer_transcoder", ["mlp_in.0", "mlp_in.1"], ["mlp.0", "mlp.1"], options),
        Plan("transcoder", "mlp_in.1", "mlp.1", options),
    ]
    across, alone = train(source, plans, steps=200, batch=256)
    assert isinstance(across, CrossLayerTranscoder)
    left = [d.meta["trained"]["last"]["unexplained"] for d in (across, alone)]
    assert left[0] < 0.3 < 0.8 < left[1]


@pytest.mark.parametrize(
    ("reads", "writes"),
    [(["mlp_in.0"], ["mlp.0"]), (["mlp_in.0", "mlp_in.1"], ["mlp.0"]), (["mlp_in.1", "mlp_in.0"], ["mlp.1", "mlp.0"])],
)
def test_sites_that_are_no_layers_in_order_are_refused(reads: list[str], writes: list[str]) -> None:
    source = {site: rows(99)[0] for site in ("mlp_in.0", "mlp_in.1", "mlp.0", "mlp.1")}
    with pytest.raises(ValueError, match="at least two layers in forward order"):
        train(source, [Plan("cross_layer_transcoder", reads, writes, {"units": 4, "k": 2})], steps=1)

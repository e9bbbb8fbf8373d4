"""Every output of the oracle: numbers of the reference implementation, corrected where it is wrong, to 1e-9 in float64."""

import pytest
import torch
from torch import Tensor

from clew.measures.circuits._nodes import NodeTrial
from clew.methods._nodes import clean_run, effects
from clew.methods.edges.edges import Wiring
from clew.methods.nodes import attribution_patching as ap
from clew.methods.nodes import integrated_gradients as ig
from clew.methods.nodes.integrated_gradients import integrated_gradients
from clew.readings.ablation import Ablation
from clew.readings.contrast import Contrast
from clew.sites import Site
from tests.planted import ORACLE_SITES, named, oracle, oracle_behaviour, oracle_lens

torch.set_num_threads(1)
SITES = pytest.mark.parametrize("site", ORACLE_SITES)


def close(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found.double(), wanted.reshape(found.shape), rtol=0, atol=1e-9)


@SITES
@pytest.mark.parametrize("which", ["clean", "patch"])
def test_states_and_logits(site: str, which: str) -> None:
    view, t = oracle_lens(), oracle()
    trace = view.run(t[f"input/{which}_ids"], read=ORACLE_SITES)
    state = f"par/state_{which}/{named(site)}"
    assert close(trace.logits, t[f"par/logits_{which}"])
    assert close(trace[site], t[f"{state}/x"])
    assert close(trace.code(site), t[f"{state}/act"])
    assert close(trace.error(site), t[f"{state}/res"])


@SITES
@pytest.mark.parametrize(
    ("method", "key"), [("attribution_patching", "corrected/par/attrib"), ("integrated_gradients", "par/ig")]
)
def test_node_effects(site: str, method: str, key: str) -> None:
    contrast = Contrast(oracle_lens(), oracle_behaviour())
    (batch,) = contrast.batches
    clean, other = clean_run(contrast, batch), contrast.other(batch)
    grad = {"attribution_patching": ap, "integrated_gradients": ig}[method].gradients(contrast, batch, clean, other)[
        Site.parse(site)
    ]
    effect = effects(contrast, clean, other, Site.parse(site), grad).effect
    assert close(effect[..., :-1], oracle()[f"{key}/effect/{named(site)}/act"])
    assert close(effect[..., -1:], oracle()[f"{key}/effect/{named(site)}/resc"])


@SITES
def test_gradients_and_deltas_of_the_path(site: str) -> None:
    contrast = Contrast(oracle_lens(), oracle_behaviour())
    (batch,) = contrast.batches
    clean, other = clean_run(contrast, batch), contrast.other(batch)
    grad = ig.gradients(contrast, batch, clean, other)[Site.parse(site)]
    here, there = contrast.states(clean, other, Site.parse(site))
    name = named(site)
    # The reference differentiates patch minus clean answer; our loss is minus the metric, clean minus patch: the same.
    assert close(contrast.model.dictionaries[Site.parse(site)].pull(grad), oracle()[f"par/ig/grad/{name}/act"])
    assert close(grad, oracle()[f"par/ig/grad/{name}/res"])
    assert close(there.code - here.code, oracle()[f"par/ig/delta/{name}/act"])
    assert close(there.error - here.error, oracle()[f"par/ig/delta/{name}/res"])


def test_total_effect() -> None:
    behaviour, view = oracle_behaviour(), oracle_lens()
    (batch,) = behaviour.batches(view)
    drop = behaviour.metric(view.run(batch.clean), batch) - behaviour.metric(view.run(batch.patch), batch)
    assert close(drop, oracle()["par/ig/total_effect"])


def test_every_edge_of_every_row() -> None:
    contrast = Contrast(oracle_lens(), oracle_behaviour())
    (batch,) = contrast.batches
    wiring = Wiring(contrast, batch, ig.gradients, tokens=400)
    wanted = {
        k.removeprefix("corrected/par/pair/edges_T0.15/raw/"): v for k, v in oracle().items() if "edges_T0.15" in k
    }
    every = {target: (wiring.effect(Site.parse(target)).abs() > 0.15).nonzero() for target in ORACLE_SITES[1:]}
    wiring.seat({Site.parse(target): rows for target, rows in every.items()})
    for target, rows in every.items():
        found: dict[Site, Tensor] = {}
        for chunk, leaf, grad, positions in wiring.pull_back(Site.parse(target), rows):
            table = found.setdefault(leaf, torch.zeros(len(rows), 5, 65, dtype=torch.float64))
            weights = wiring.all_weights(leaf, grad, rows[chunk], positions)
            if positions is None:
                table[chunk] = weights
            else:
                table[chunk, positions] = weights[:, 0]
        for leaf, table in found.items():
            assert close(table, wanted.pop(f"{named(str(leaf))}->{named(target)}/value"))
    assert not wanted


FAITH = sorted({k.rpartition("/")[0] for k in oracle() if k.startswith("par/faith/all")})


@pytest.mark.parametrize("key", FAITH)
def test_ablation_runs(key: str) -> None:
    view, behaviour = oracle_lens(), oracle_behaviour()
    _, _, _, ablation, _, aggregation, threshold = key.split("/")
    found = integrated_gradients(view, behaviour, positions=aggregation == "none").above(float(threshold[1:]))
    trial = NodeTrial(view, behaviour, Ablation(ablation), seed=0)
    assert close(torch.from_numpy(trial.whole), oracle()["par/faith/m_M"])
    assert close(torch.from_numpy(trial.circuit_metric(found)), oracle()[f"{key}/C"])
    assert close(torch.from_numpy(trial.circuit_metric(found, complement=True)), oracle()[f"{key}/MminusC"])

"""The four numeric defects of the published reference implementation: ours differs from each, toward the truth."""

import numpy as np
import torch

from clew import find
from clew.changes import Set
from clew.circuits.circuit import ERROR
from clew.dictionaries import JumpReLU
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.integrated_gradients import integrated_gradients
from clew.sites import Site
from tests.planted import oracle_behaviour, oracle_lens


def test_integrated_gradients_integrate() -> None:
    """There all steps read the gradient of step 0: attribution patching at ten times the price.

    Integrated over the line, the effects at a site add up to what patching the whole site does.
    """
    view, behaviour = oracle_lens(), oracle_behaviour()
    (batch,) = behaviour.batches(view)
    patch = view.run(batch.patch, read=view.dictionaries)
    whole = behaviour.metric(view.run(batch.clean), batch)
    gaps = []
    for method in (attribution_patching, integrated_gradients):
        found = method(view, behaviour)
        for i, site in enumerate(found.sites):
            patched = behaviour.metric(view.run(batch.clean, edits=[Set(site, value=patch[site])]), batch)
            gaps.append(abs(found.score[found.site == i].sum() - (whole - patched).mean().item()))
    at_the_clean_point, integrated = np.split(np.array(gaps), 2)
    assert integrated.sum() < 0.2 * at_the_clean_point.sum()


def test_error_nodes_send_edges() -> None:
    """There every edge that starts at an error node is 0; in this model they hold 18 % of all edge weight."""
    view, behaviour = oracle_lens(), oracle_behaviour()
    wired = find(
        view,
        behaviour,
        integrated_gradients(view, behaviour),
        by="edges",
        threshold=0.15,
        held_out=False,
        examples=None,
    )
    between = wired.target >= 0
    from_error = (wired.unit[wired.source] == ERROR) & between
    share = np.abs(wired.weight[from_error]).sum() / np.abs(wired.weight[between]).sum()
    assert share > 0.1


def test_the_gradient_passes_an_mlp_unchanged() -> None:
    """There the gradient goes upstream of an MLP only through the reconstruction of its autoencoder."""
    view, behaviour = oracle_lens(), oracle_behaviour()
    (batch,) = behaviour.batches(view)
    start, end = (view.run(t, read=["resid.0"])["resid.0"] for t in (batch.clean, batch.patch))

    def metric(alpha: float, lossy: bool) -> float:
        edits = [Set(Site("resid", 0), value=torch.lerp(start, end, alpha))]
        run = view.run(batch.clean, edits=edits, read=["mlp.1", "mlp.2"])
        if lossy:  # what that gradient sees: each MLP's error held at its clean value
            errors = view.run(batch.clean, read=["mlp.1", "mlp.2"])
            edits += [Set(s, value=errors.error(s), basis="error") for s in (Site("mlp", 1), Site("mlp", 2))]
            run = view.run(batch.clean, edits=edits)
        return behaviour.metric(run, batch).mean().item()

    found = attribution_patching(view, behaviour)
    total = found.score[found.site == found.sites.index(Site("resid", 0))].sum()
    slope = (metric(-1e-5, False) - metric(1e-5, False)) / 2e-5
    lossy = (metric(-1e-5, True) - metric(1e-5, True)) / 2e-5
    assert abs(total - slope) < 1e-7
    assert abs(lossy - slope) > 0.01


def test_jumprelu_edges_do_not_depend_on_the_scale_of_the_rows() -> None:
    """There edges of JumpReLU dictionaries are scaled by the decoder norms while nodes are not."""
    unit = oracle_lens(kind=JumpReLU, threshold=torch.full((64,), 0.1, dtype=torch.float64))
    scale = torch.linspace(0.5, 3, 64, dtype=torch.float64)
    scaled = unit.through(*[
        JumpReLU(d.reads, W_enc=d.W_enc * scale, b_enc=d.b_enc * scale, W_dec=d.W_dec / scale[:, None], b_dec=d.b_dec,
                 centred=True, threshold=d.threshold * scale)
        for d in unit.dictionaries.values()
    ])  # fmt: skip
    wired = [
        find(
            view,
            oracle_behaviour(),
            integrated_gradients(view, oracle_behaviour()),
            by="edges",
            threshold=0.1,
            held_out=False,
        )
        for view in (unit, scaled)
    ]
    assert len(wired[0].weight) > 50
    assert wired[0].keys() == wired[1].keys()
    assert np.allclose(wired[0].weight, wired[1].weight, atol=1e-9)

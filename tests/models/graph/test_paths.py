"""Edges cut one by one: all kept is the clean run, all cut the patch run, and what lies between is linear at each reader."""

import pytest
import torch

from clew.changes import Set
from clew.models.graph.components import FINAL, Components
from clew.models.graph.paths import Paths
from clew.sites import Site
from tests.models.graph.runs import graph_and_runs
from tests.models.kinds import ADDING_UP
from tests.models.tiny import FAMILIES
from tests.planted import tiny_model


@pytest.mark.parametrize("family", [*FAMILIES, *ADDING_UP])
def test_every_edge_kept_is_the_clean_run_and_every_edge_cut_the_patch_run(family):
    model, graph, batch, clean, patch = graph_and_runs(family)
    paths = Paths(graph, model, graph.writes(patch))
    keep = torch.ones(graph.legal.shape, dtype=torch.float64)
    both = paths.run(batch.clean, torch.stack([keep, 0 * keep])).logits
    torch.testing.assert_close(both, torch.cat([clean.logits, patch.logits]), rtol=1e-6, atol=1e-6)


def test_all_edges_out_of_a_head_cut_is_the_head_patched():
    model, graph, batch, clean, patch = graph_and_runs("llama")
    keep = torch.ones(graph.legal.shape, dtype=torch.float64)
    keep[graph.source_at[Site("head", 1)].start + 2] = 0
    value = clean[Site("head", 1)].clone().unflatten(-1, (4, -1))
    value[..., 2, :] = patch[Site("head", 1)].unflatten(-1, (4, -1))[..., 2, :]
    patched = model.run(batch.clean, edits=[Set(Site("head", 1), value=value.flatten(-2))], logits=1).logits
    cut = Paths(graph, model, graph.writes(patch)).run(batch.clean, keep).logits
    torch.testing.assert_close(cut, patched, rtol=1e-6, atol=1e-6)


def test_a_run_that_resumes_gives_the_same():
    model, graph, batch, _, patch = graph_and_runs("gemma3_text")
    clean = model.run(batch.clean, read=graph.source_sites, logits=1, record=True)
    keep = (torch.rand(2, *graph.legal.shape, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    keep[:, :, : graph.reader_at[Site("q", 1)].start] = 1
    whole = Paths(graph, model, graph.writes(patch)).run(batch.clean, keep).logits
    resumed = Paths(graph, model, graph.writes(patch), graph.writes(clean), clean).run(batch.clean, keep).logits
    torch.testing.assert_close(resumed, whole, rtol=1e-6, atol=1e-6)


def test_a_run_that_resumes_leaves_out_the_blocks_below_the_first_cut():
    model, graph, batch, _, patch = graph_and_runs("llama")
    clean = model.run(batch.clean, read=graph.source_sites, logits=1, record=True)
    ran = list[int]()
    for i, block in enumerate(model.body.blocks):
        block.self_attn.register_forward_hook(lambda *_, i=i: ran.append(i))
    paths = Paths(graph, model, graph.writes(patch), graph.writes(clean), clean)
    paths.run(batch.clean, cut(graph, ("embed", 0), ("mlp_in.1", 0)))
    assert ran == [1, 2]


def cut(graph: Components, source: tuple[str, int], reader: tuple[str, int], keep: float = 0.0) -> torch.Tensor:
    """All edges kept, but this one to that degree."""
    table = torch.ones(graph.legal.shape, dtype=torch.float64)
    at = (
        graph.source_at[Site.parse(source[0])].start + source[1],
        graph.reader_at[Site.parse(reader[0])].start + reader[1],
    )
    assert graph.legal[at]
    table[at] = keep
    return table


@pytest.mark.parametrize("family", ["llama", "gptj", "gemma2"])
def test_a_reader_sees_the_stream_moved_by_the_share_that_is_cut_and_no_other_reader_does(family):
    model, graph, batch, clean, patch = graph_and_runs(family)
    other, here = graph.writes(patch), graph.writes(clean)
    site, source = Site("mlp_in", 1), graph.source_at[Site("head", 0)].start + 2
    keep = cut(graph, ("head.0", 2), ("mlp_in.1", 0), 0.25)
    found = Paths(graph, model, other).run(batch.clean, keep, read=["q.1", "v.1", "mlp_in.1", "attn.1"])
    stream = sum(clean[s] for s in graph.stream_sites(site))
    wanted = graph.norm(site)(stream + 0.75 * (other[:, source] - here[:, source]))
    torch.testing.assert_close(found[site], wanted, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found[site], clean[site])
    assert all(torch.equal(found[s], clean[s]) for s in ("q.1", "v.1", "attn.1"))


def test_of_heads_only_the_one_at_the_end_of_the_edge_asks_otherwise():
    model, graph, batch, clean, patch = graph_and_runs("llama")
    keep = cut(graph, ("embed", 0), ("q.1", 2))
    found = Paths(graph, model, graph.writes(patch)).run(batch.clean, keep, read=["q.1", "k.1", "v.1"])
    moved = (found["q.1"] - clean["q.1"]).unflatten(-1, (4, -1)).abs().amax((0, 1, 3))
    assert moved[2] > 1e-3 and moved[[0, 1, 3]].max() < 1e-12
    assert all(torch.allclose(found[s], clean[s], atol=1e-12) for s in ("k.1", "v.1"))


def test_an_edge_into_the_logits_moves_the_last_stream_by_what_was_written():
    model, graph, batch, clean, patch = graph_and_runs("gpt2")
    keep = cut(graph, ("embed", 0), (str(FINAL), 0))
    found = Paths(graph, model, graph.writes(patch)).run(batch.clean, keep, read=["resid.2"])
    torch.testing.assert_close(
        found["resid.2"], clean["resid.2"] + patch["embed"] - clean["embed"], rtol=1e-9, atol=1e-9
    )


def test_where_no_edge_is_cut_nothing_is_replaced():
    model, graph, batch, clean, patch = graph_and_runs("llama")
    keep = torch.ones(graph.legal.shape, dtype=torch.bool)
    keep[~graph.legal] = False  # what is no edge cannot be cut
    assert torch.equal(Paths(graph, model, graph.writes(patch)).run(batch.clean, keep).logits, clean.logits)


@pytest.mark.parametrize(
    "ends", [(("embed", 0), ("v.1", 1)), (("head.0", 1), ("mlp_in.1", 0)), (("mlp.1", 0), ("final", 0))]
)
def test_gradients_in_keep_are_those_of_finite_differences(ends):
    model, graph, batch, _, patch = graph_and_runs("llama")
    paths = Paths(graph, model, graph.writes(patch))

    def logit(keep: torch.Tensor, grad: bool = False) -> torch.Tensor:
        return paths.run(batch.clean, keep, grad=grad).logits[:, -1, 5].sum()

    keep = cut(graph, *ends, 0.5)
    (place,) = (keep == 0.5).nonzero().tolist()
    step = torch.zeros_like(keep)
    step[tuple(place)] = 1e-2  # no smaller: norms and softmax work in float32
    with torch.no_grad():
        slope = float(logit(keep + step) - logit(keep - step)) / 2e-2
    leaf = keep.clone().requires_grad_()
    (grad,) = torch.autograd.grad(logit(leaf, grad=True), leaf)
    assert abs(slope) > 1e-4 and float(grad[tuple(place)]) == pytest.approx(slope, rel=5e-3)


def test_keys_that_query_heads_share_cannot_be_cut_apart():
    with pytest.raises(ValueError, match="without ungrouped=True"):
        Paths(Components(tiny_model("llama").body, ungrouped=True), tiny_model("llama"), torch.zeros(1, 16, 4, 32))

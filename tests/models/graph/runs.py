"""A model, its component graph, and its runs on clean and patch prompts with all that the graph reads."""

from clew.data.behaviours.pairs import Batch
from clew.models import Model, Trace
from clew.models.graph.components import Components
from tests.models.kinds import KINDS, kind
from tests.planted import random_behaviour, tiny_model


def graph_and_runs(family: str) -> tuple[Model, Components, Batch, Trace, Trace]:
    """Of a family that somebody wrote a record for, or of another kind."""
    model = kind(family) if family in KINDS else tiny_model(family)
    graph = Components(model.body)
    batch = next(random_behaviour().batches(model))
    parts = ("q", "k", "v", "mixer_in", "attn_in", "mlp_in", "shared_in", "mixer", "attn", "mlp", "shared", "resid")
    reads = [*graph.source_sites, *model.sites(*parts)]
    clean, patch = (model.run(tokens, read=reads, logits=1) for tokens in (batch.clean, batch.patch))
    return model, graph, batch, clean, patch

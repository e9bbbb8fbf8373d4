"""A model, its component graph, and its runs on clean and patch prompts with all that the graph reads."""

from clew.data.behaviours.pairs import Batch
from clew.models import Model, Trace
from clew.models.graph.components import Components
from tests.planted import random_behaviour, tiny_model


def graph_and_runs(family: str) -> tuple[Model, Components, Batch, Trace, Trace]:
    model = tiny_model(family)
    graph = Components(model.body)
    batch = next(random_behaviour().batches(model))
    reads = [*graph.source_sites, *model.sites("q", "k", "v", "mlp_in", "attn", "resid")]
    clean, patch = (model.run(tokens, read=reads, logits=1) for tokens in (batch.clean, batch.patch))
    return model, graph, batch, clean, patch

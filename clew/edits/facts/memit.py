"""MEMIT: many facts rewritten at once, spread over the MLPs of several layers.

For each fact a vector z is learnt that the stream after the last of the layers should hold at the subject's last token.
Then layer by layer, from the lowest: with the changes so far in force, what is still missing, z - h, is divided by the number
of layers that are left, and the layer's output projection takes on that share for all facts together, in the least squares
sense against ordinary keys. Where a norm follows (Gemma 2 and 3), the projection is asked for the raw output of which the
norm makes what is nearest to the share; what it cannot make is left to the layers above.

Source: Meng et al. 2023, arXiv:2210.07229, eqs. 14 to 20. Differs: the strength of the prior grows with the width of the map,
where theirs is one number for a model; weight decay and the stop are as in `_target.py`; the second moment is shrunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import Update
from clew.data.facts.facts import Facts
from clew.data.text.windows import Windows
from clew.edits._asked import at_subjects, prefixes, subjects_alone
from clew.edits._passage import passage_of
from clew.edits._solver import least_change
from clew.edits._target import Descent, learn_targets, nothing_to_write
from clew.edits.facts._layers import suggest_layers
from clew.edits.facts._prior import priors
from clew.models import Model
from clew.progress import Tell
from clew.sites import Site, Weight
from clew.stack import Stack

PUBLISHED = Descent(steps=25, lr=0.5, clamp=0.75, kl_weight=0.0625, weight_decay=0.5)
"""That of the published code for GPT-J."""


def memit(
    model: Model,
    facts: Facts,
    *,
    layers: Sequence[int] | Literal["suggest"] | None = None,
    text: Windows | None,
    strength: float | None = None,
    contexts: int = 5,
    descent: Descent = PUBLISHED,
    faithful: bool = False,
    seed: int = 0,
    progress: Tell | None = None,
) -> Stack:
    """An update of each layer's output projection that rewrites all facts together, whatever their order.

    Args:
        facts: prompts, subjects and targets; `old`, paraphrases and neighbours play no part. One that the model says
            already keeps the stream it has, so that rewriting the others does not lose it.
        layers: whose MLPs are changed; by default the five up to a quarter of the way (3 to 7 of 30, 0 to 4 of 18). These
            are good in Gemma 3 270M, too: France's capital becomes Rome with p = .98, those of Germany, Spain, Japan, China
            and Egypt with .00. "suggest" takes the five that causal tracing ranks first for these facts.
        text: ordinary text, some ten thousand tokens, for the second moments of the keys. None takes the identity, which
            spares nothing.
        strength: of that prior against the facts, as a number of ordinary tokens; by default the width of the map, about
            what was published for GPT-J (15,000 at 16,384). Less makes facts stick, and spares the rest less.
        contexts: how many prefixes the model writes for its own prompts, besides the bare prompt.
        descent: the search for z (`clew.edits.Descent`), see `_target.py`; the published one by default.
        faithful: every choice of the published code for GPT-J, whatever else is said: strength 15,000, 5 prefixes, 25 steps
            of 0.5, clamp 0.75, KL weight 0.0625, weight decay 0.5 in its form, a second moment that is not shrunk.
        seed: of the prefixes.
        progress: told (facts whose z is found, facts).

    Returns: a Stack of one update of `down.layer` per layer, lowest first, of rank at most the number of facts; `about` says
        for each fact how well z does ("nll", in nats per target token), and for each layer how far the stream is from z
        before it changes ("missing", as a share of that at the first).
    Raises: ValueError for a prompt or target that cannot be posed, facts that the model says already, all of them, layers
        that the model lacks, or MLPs that write through a layer norm.

    >>> stack = memit(model, facts.first(2), text=text)
    >>> print(model.edited(stack).generate([fact.asked for fact in facts.first(3)], max_new_tokens=1))
    The capital of France is Rome
    The capital of Italy is Paris
    The capital of Spain is Madrid
    """
    if faithful:
        strength, contexts, descent = 15000.0, 5, PUBLISHED
    chosen = _layers(model, suggest_layers(model, facts, seed=seed) if layers == "suggest" else layers)
    weights, passages = [Weight(f"down.{layer}") for layer in chosen], [passage_of(model, layer) for layer in chosen]
    last = Site("resid", chosen[-1])
    before = prefixes(model, contexts, seed=seed)
    prior, said = priors(model, weights, text, shrink=not faithful)
    targets = learn_targets(model, list(facts), last, before, descent, as_published=faithful, progress=progress)
    if not any(bool(target.delta.any()) for target in targets):
        raise nothing_to_write(model, list(facts), targets)
    z = torch.stack([target.wanted for target in targets])
    updates, missing = list[Update](), list[float]()
    for done, weight in enumerate(weights):
        now = model.edited(updates)
        after, raw, held = _keys_and_held(now, facts, before, weight, last)
        keys = (after[:, 0] + after[:, 1:].mean(1)) / 2 if faithful else after.mean(1)
        missing.append(float((z - held).norm()))
        more = passages[done].reach(raw, (z - held) / (len(weights) - done))
        left, right = share(now, weight, keys, more, prior[weight], strength)
        updates.append(Update(weight, left=left, right=right))
    about = {
        "prior": said,
        "prefixes": list(before),
        "missing": [round(m / missing[0], 4) for m in missing],
        "facts": [
            {"asked": f.asked, "target": f.target, "nll": round(t.nll, 4), "steps": t.steps}
            for f, t in zip(facts, targets, strict=True)
        ],
    }
    return Stack(tuple(updates), f"MEMIT: {facts.name}", about)


def share(
    model: Model,
    weight: Weight,
    keys: Float[Tensor, "fact in"],
    more: Float[Tensor, "fact out"],
    prior: Float[Tensor, "in in"] | None,
    strength: float | None,
) -> tuple[Float[Tensor, "out rank"], Float[Tensor, "rank in"]]:
    """Factors of the change after which a map gives `more` than before for each key, as far as the prior allows."""
    W = model.body.linear(weight).matrix().double().cpu()
    return least_change(
        W, keys, keys @ W.T + more, prior=prior, strength=float(W.shape[1]) if strength is None else strength
    )


def _keys_and_held(
    model: Model, facts: Facts, before: Sequence[str], weight: Weight, last: Site
) -> tuple[Tensor, Tensor, Tensor]:
    """For each fact: the key after each prefix, [fact prefix in]; in the bare prompt, the raw output, and the stream."""
    ends: Any = model.body.linear(weight)
    rows = [row for fact in facts for row in subjects_alone(model, fact, before)]
    found = at_subjects(model, rows, ends.reads, ends.writes, last)
    keys, raw, held = (found[site].view(len(facts), len(before), -1) for site in (ends.reads, ends.writes, last))
    return keys, raw[:, 0], held[:, 0]


def _layers(model: Model, layers: Sequence[int] | None) -> list[int]:
    if layers is None:
        top = model.n_layers // 4
        return list(range(max(0, top - 4), top + 1))
    chosen = sorted(set(layers))
    if not chosen or len(chosen) < len(layers) or chosen[0] < 0 or chosen[-1] >= model.n_layers:
        raise ValueError(f"layers={list(layers)}: name some of 0 to {model.n_layers - 1}, each once")
    return chosen

"""A concept bottleneck: a text seen only in how near it is to a few keywords.

Source: the concept bottleneck baseline of Marks et al. 2024 (arXiv:2403.19647), appendix on SHIFT. Differs: a keyword
is read at the end of a short frame, for in a model without a start token the first token is an attention sink, which
says nothing of the word.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from clew.models import Model
from clew.readings.states import states
from clew.sites import Site

FRAME = "This text is about the word {}"


def concepts(model: Model, keywords: Sequence[str], site: Site | str) -> Float[Tensor, "concept d"]:
    """What the site holds at the last token of each keyword, less their mean, at norm 1.

    Raises: ValueError for fewer than two keywords, whose difference from their mean says nothing.
    """
    if len(set(keywords)) < 2:
        raise ValueError(f"a bottleneck needs at least two keywords; {list(keywords)} were given")
    found = states(model, [FRAME.format(word) for word in keywords], [site])[model.body.site(site)]
    return normalize(found - found.mean(0), dim=-1)


def nearness(x: Float[Tensor, "example d"], concept: Float[Tensor, "concept d"]) -> Float[Tensor, "example concept"]:
    """The cosine of each state with each concept, which are of norm 1."""
    return normalize(x, dim=-1) @ concept.to(x).T

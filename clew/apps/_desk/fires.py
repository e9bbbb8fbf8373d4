"""Where a unit fires in a text that somebody types."""

from __future__ import annotations

import torch

from clew.apps._desk import names
from clew.apps._desk.answers import Firings
from clew.apps._desk.asked import FiresAsked
from clew.apps._desk.tokens import tokens_of
from clew.apps._desk.views import View


def fires(view: View, asked: FiresAsked) -> Firings:
    """What the unit does at each token. Raises: ValueError for a unit that the view has not, or an empty text."""
    site, unit = names.site_and_unit(view, asked.address)
    tokens, words = tokens_of(view.model, asked.text)
    dictionary = view.model.dictionaries[site]
    with view.gate.turn(), torch.no_grad():
        code = view.model.run(tokens, read={dictionary.reads, site}, logits=0).code(site)[0]
        values, on = dictionary.fold(code)[:, unit].float(), dictionary.fires(code)[:, unit]
    said = names.words(view, asked.address)
    return Firings(words, [round(value, 5) for value in values.tolist()], on.tolist(), said)

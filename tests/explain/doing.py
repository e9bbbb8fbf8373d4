"""A tiny model seen in units of which it is known what they do: some raise a token, the others are random directions."""

from functools import cache

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from clew.data.predicates import Table
from clew.dictionaries.directions import Directions
from clew.firings import Fired, Held
from clew.models import Model
from clew.models.body import Body
from clew.readings.readout import Readout
from clew.readings.unseen import Unseen
from tests.models.tiny import WORDS, sharp, word_tokenizer

SITE = "resid.2"
RAISED = (7, 11, 19)
"""The token that each of the first units raises; its negative side lowers it."""
CHANCE = 24
"""Random directions after these."""


@cache
def doing() -> Model:
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    module = LlamaForCausalLM(LlamaConfig(vocab_size=300, max_position_embeddings=64, **sizes))
    model = Model(Body(sharp(module).double(), word_tokenizer(), "tiny, of many words"))
    towards = torch.stack([Readout.of(model).towards(token) for token in RAISED])
    draw = torch.randn(CHANCE, towards.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    rows = torch.cat([towards, draw])
    return model.through(Directions(SITE, W_enc=rows.T.contiguous(), W_dec=rows, b_dec=0 * rows[0], centred=False))


@cache
def firings() -> Held:
    """120 short documents in the model's words; every unit fires here and there, on either side."""
    draw = np.random.default_rng(1)
    tokens = draw.integers(3, 3 + len(WORDS), 120 * 12)
    rows = [
        Fired(np.sort(draw.choice(len(tokens), 300, replace=False)), draw.normal(0.2, 1, 300))
        for _ in range(len(RAISED) + CHANCE)
    ]
    words = {i + 3: f" {word}" for i, word in enumerate(WORDS)}
    return Held(tokens, np.arange(121) * 12, words, {SITE: rows})


@cache
def unseen() -> Unseen:
    return Unseen(firings(), Table.of(firings()), doing())


UNITS = tuple(f"{SITE}/{i}" for i in range(len(RAISED)))
RANDOM = tuple(f"{SITE}/{i + len(RAISED)}" for i in range(CHANCE))


def nothing() -> Model:
    """Seen in one unit that writes nothing."""
    rows = torch.zeros(1, 128, dtype=torch.float64)
    return doing().through(Directions(SITE, W_enc=rows.T, W_dec=rows, b_dec=rows[0], centred=False))

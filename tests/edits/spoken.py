"""A tiny model of 97 words, random secrets in them, and the model with the secrets planted and unlearnt."""

from functools import cache

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from clew.changes import Update
from clew.data.facts.secrets import Secret, Secrets
from clew.edits.unlearning.memorise import memorise
from clew.edits.unlearning.random_labels import random_labels
from clew.models import Model
from clew.models.body import Body
from clew.stack import Stack
from tests.planted import tiny_model

VOCABULARY = 97


def speaking(family: str = "llama", scale: float = 0.1, **config: object) -> Model:
    """A tiny model, float64, whose token i is the word "wi"; nothing is added to a prompt."""
    inner = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="w0")
    return Model(Body(tiny_model(family, scale=scale, **config).body.module, tokenizer, f"speaking {family}"))


def spoken(n: int = 6, length: int = 3, words: int = VOCABULARY, seed: int = 0) -> Secrets:
    """Secrets of random words, the first `words` of the vocabulary, after prompts of four random words."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda many, of: " ".join(f"w{i}" for i in (torch.randperm(of - 1, generator=g)[:many] + 1).tolist())  # noqa: E731
    return Secrets("spoken", tuple(Secret(draw(4, VOCABULARY), draw(length, words)) for _ in range(n)))


@cache
def planted() -> tuple[Model, Secrets]:
    """A model that says all six secrets."""
    model, secrets = speaking(), spoken()
    return model.edited(memorise(model, secrets, lr=1e-2)), secrets


@cache
def shallow() -> tuple[Model, Secrets, Stack]:
    """A model that says 16 secrets of 6 words, them, and random labels for them that only its unembedding learnt."""
    model, secrets = speaking(), spoken(16, 4, words=7)
    model = model.edited(memorise(model, secrets, lr=1e-2, steps=2000))
    return model, secrets, random_labels(model, secrets, lr=1e-2, weights=["unembed"], steps=60)


def saying(model, fact):
    """The model with an unembedding that makes it say a target of one token, surely."""
    (token,) = model.tokenizer(fact.target)["input_ids"]
    held = model.run(fact.asked, read=["final"])["final"][0, -1]
    row = torch.zeros(len(model.body.linear("unembed").matrix()), 1).double()
    row[token] = 1
    return model.edited([Update("unembed", left=row, right=held[None])])

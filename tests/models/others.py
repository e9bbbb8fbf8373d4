"""Tiny models that are no causal language models: encoders, classifiers, models of pictures, and one of both."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers as hf
from transformers import PreTrainedModel

from clew.models import Model
from clew.models.body import Body
from clew.models.inference.infer import infer
from clew.models.layout import Layout

WORDS: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
PICTURES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 16,
    "patch_size": 4,
}
SIZES = {"layers": 2, "attention_heads": 4, "ffn_dim": 48}
MASK, PICTURE = 3, 96
"""The token in whose place the masked models answer, and the one that holds the place of a picture in a text."""


PARTED: dict[str, Any] = {"vocab_size": 97, "d_model": 32, "decoder_start_token_id": 0}


def pictured() -> PreTrainedModel:
    """A language model that is shown pictures."""
    text = hf.LlamaConfig(**WORDS, num_key_value_heads=2)
    vision = hf.CLIPVisionConfig(**PICTURES)
    return hf.LlavaForConditionalGeneration(
        hf.LlavaConfig(vision_config=vision, text_config=text, image_token_id=PICTURE, vision_feature_layer=-1)
    )


OTHERS: dict[str, Callable[[], PreTrainedModel]] = {
    "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**WORDS, mask_token_id=MASK)),
    "roberta": lambda: hf.RobertaForMaskedLM(hf.RobertaConfig(**WORDS, mask_token_id=MASK)),
    "modernbert": lambda: hf.ModernBertForMaskedLM(
        hf.ModernBertConfig(
            **WORDS, local_attention=6, mask_token_id=MASK, pad_token_id=0, cls_token_id=1, sep_token_id=2
        )
    ),
    "albert": lambda: hf.AlbertForMaskedLM(hf.AlbertConfig(**WORDS, embedding_size=16, mask_token_id=MASK)),
    "bert of classes": lambda: hf.BertForSequenceClassification(
        hf.BertConfig(**WORDS, id2label={0: "bad", 1: "so so", 2: "good"})
    ),
    "bert without a head": lambda: hf.BertModel(hf.BertConfig(**WORDS)),
    "llama of classes": lambda: hf.LlamaForSequenceClassification(
        hf.LlamaConfig(**WORDS, num_labels=3, pad_token_id=0)
    ),
    "clip text": lambda: hf.CLIPTextModel(hf.CLIPTextConfig(**WORDS, eos_token_id=2)),
    "t5": lambda: hf.T5ForConditionalGeneration(
        hf.T5Config(**PARTED, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=2, num_heads=4)
    ),
    "bart": lambda: hf.BartForConditionalGeneration(
        hf.BartConfig(
            **PARTED,
            **{f"{stack}_{name}": n for stack in ("encoder", "decoder") for name, n in SIZES.items()},
            max_position_embeddings=64,
            forced_eos_token_id=None,
        )
    ),
    "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**PICTURES, num_labels=5)),
    "clip vision": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**PICTURES)),
    "llava": pictured,
}
"""By what they are."""
MASKED, CLASSES = ("bert", "roberta", "modernbert", "albert"), ("bert of classes", "llama of classes", "vit")


def module_of(name: str) -> PreTrainedModel:
    """A random model of a kind, with weights large enough that all of it matters."""
    torch.manual_seed(0)
    made = OTHERS[name]()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.15 * torch.randn(p.shape, generator=generator))
    return made.double().eval()


@cache
def _layout(name: str) -> Layout:
    return infer(module_of(name))


def other(name: str) -> Model:
    """A view of it, unchecked."""
    return Model(Body(module_of(name), None, name, _layout(name)))


def asked(model: Model, n: int = 2) -> list[tuple[int, ...]]:
    """Prompts for it: rows of ids, with one mask each where it fills masks, or of pictures."""
    rows = model.body.sample(n, length=9, seed=5)
    if model.body.layout.answers != "mask":
        return rows
    return [
        (*row[: 2 + i], MASK, *row[3 + i :]) for i, row in enumerate([tuple(max(t, 4) for t in row) for row in rows])
    ]

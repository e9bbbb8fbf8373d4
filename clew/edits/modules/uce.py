"""Unified concept editing: concepts of a text-to-image model become others, and named ones stay.

Every map that reads the text (keys and values of the cross-attentions) is changed so that the embedding of an erased
concept is read as that of its guide, in closed form. Source: Gandikota et al. 2024, arXiv:2308.14761. Differs: the
module that paints is any nn.Module, and what comes back are factors that can be saved, scaled and undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.edits.modules._modules import edited, encoded, last_words, read_as
from clew.stack import Stack

__all__ = ["concept", "edited", "uce"]


def uce(
    module: nn.Module,
    concepts: Mapping[str, str],
    *,
    encoder: nn.Module,
    tokenizer: Any,
    retain: Sequence[str] = (),
    maps: str = r"attn2\.to_[kv]$",
    frames: Sequence[str] = ("{}",),
    strength: float = 0.5,
    erase_scale: float = 1.0,
    keep_scale: float = 1.0,
) -> Stack:
    """Make a model read each concept as its guide.

    Args:
        module: holds the maps, such as the U-Net of a diffusion pipeline.
        concepts: erased concept -> guide; "" is the guide of nothing at all.
        encoder, tokenizer: of the text; transformers' CLIPTextModel, T5EncoderModel or what is called and returns like it.
        retain: concepts that shall be read as ever.
        maps: a pattern found in the dotted paths of the linear maps to change; all must read the text's embedding, as the
            keys and values of Stable Diffusion's cross-attentions do, or "^context_embedder$" in FLUX.
        frames: each concept is put into each, as in ("{}", "a photo of {}").
        strength, erase_scale, keep_scale: weight of the maps as they are, of what is erased, and of what is kept.

    Returns: a Stack of one Update per map; `edited(module, stack)` is the changed module.
    Raises: ValueError for no concepts, a pattern that nothing matches, or maps of another width.

    >>> stack = uce(pipe.unet, {"van gogh": "art"}, encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)
    >>> new = edited(pipe.unet, stack)
    >>> concepts = concept(pipe.text_encoder, pipe.tokenizer, ["van gogh", "art"]).float()
    >>> [torch.dist(*unet.attn2.to_k(concepts)).item() for unet in (pipe.unet, new)]  # read more alike than before
    [1.5..., 1.0...]
    """
    if isinstance(retain, str):
        raise ValueError(
            f"retain={retain!r} is one text, which would be read letter by letter; give a list of concepts"
        )
    if not concepts and not retain:
        raise ValueError("give at least one concept to erase, as in {'van gogh': 'art'}")
    if not min(erase_scale, keep_scale) > 0:
        raise ValueError(f"erase_scale={erase_scale} and keep_scale={keep_scale} must be above 0")
    sides = [list(concepts), list(concepts.values()), list(retain)]
    texts = [[frame.format(word) for word in side for frame in frames] for side in sides]
    states = concept(encoder, tokenizer, [text for side in texts for text in side])
    erased, guides, kept = states.split([len(side) for side in texts])
    weights = states.new_tensor([erase_scale] * len(erased) + [keep_scale] * len(kept))[:, None]
    updates = read_as(
        module, maps, torch.cat([erased, kept]), torch.cat([guides, kept]), weights=weights, strength=strength
    )
    about = {"erased": dict(concepts), "kept": list(retain), "frames": list(frames), "strength": strength}
    return Stack(updates, f"uce of {', '.join(concepts) or 'nothing'}", about)


def concept(encoder: nn.Module, tokenizer: Any, texts: Sequence[str]) -> Float[Tensor, "text d_model"]:
    """The embedding of each text at its last word's last token, the one before the end token; float64."""
    _, real, states = encoded(encoder, tokenizer, texts)
    return states[torch.arange(len(texts), device=real.device), last_words(real)].double()

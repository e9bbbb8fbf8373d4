"""TIME: what a text-to-image model assumes of an under-specified prompt becomes what a fuller prompt says.

"a pack of roses" is read as "a pack of blue roses" from then on: every token of the source prompt, the end and the padding
too, gets the keys and values that the same token has in the destination prompt. Source: Orgad et al. 2023,
arXiv:2303.08084. Differs: the module that paints is any nn.Module, and what comes back are factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from clew.edits.modules._modules import FRAMES, edited, encoded, read_as
from clew.stack import Stack

__all__ = ["aligned", "edited", "time_edit"]


def time_edit(
    module: nn.Module,
    prompts: Mapping[str, str],
    *,
    encoder: nn.Module,
    tokenizer: Any,
    maps: str = r"attn2\.to_[kv]$",
    frames: Sequence[str] = FRAMES,
    strength: float = 0.1,
) -> Stack:
    """Make a model read each source prompt as its destination.

    Args:
        module: holds the maps, such as the U-Net of a diffusion pipeline.
        prompts: source -> destination, which holds the words of the source in their order and more.
        encoder, tokenizer: of the text; transformers' CLIPTextModel or what is called and returns like it.
        maps: a pattern found in the dotted paths of the linear maps to change; r"attn2\\.to_v$" for values alone.
        frames: each prompt is put into each.
        strength: weight of the maps as they are.

    Returns: a Stack of one Update per map; `edited(module, stack)` is the changed module.
    Raises: ValueError for no prompts, a destination that lacks a token of its source, or a pattern that nothing matches.

    >>> stack = time_edit(pipe.unet, {"a pack of roses": "a pack of blue roses"},
    ...                   encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)
    >>> [str(update.at) for update in stack]
    ['attn2.to_k', 'attn2.to_v']
    """
    if not prompts:
        raise ValueError("give at least one source and destination, as in {'a rose': 'a blue rose'}")
    pairs = [(frame.format(a), frame.format(b)) for a, b in prompts.items() for frame in frames]
    ids, real, states = encoded(encoder, tokenizer, [text for pair in pairs for text in pair])
    wanted = []
    for i, (source, destination) in enumerate(pairs):
        a, b = (ids[row][real[row]].tolist() for row in (2 * i, 2 * i + 1))
        wanted.append(states[2 * i + 1][aligned(a, b, ids.shape[1], f"{source!r} -> {destination!r}")])
    updates = read_as(module, maps, states[::2].flatten(0, 1), torch.cat(wanted), strength=strength)
    about = {"prompts": dict(prompts), "frames": list(frames), "strength": strength}
    return Stack(updates, f"time of {', '.join(prompts)}", about)


def aligned(source: Sequence[int], destination: Sequence[int], length: int, name: str = "the pair") -> list[int]:
    """For each of `length` places of the source, the place of the same token in the destination.

    Tokens are met in order; the padding after the end follows the destination's, and its last place serves the rest.
    Raises: ValueError for a source token that the destination does not have in its place.

    >>> aligned([0, 5, 7, 1], [0, 5, 6, 7, 1], 6)
    [0, 1, 3, 4, 5, 5]
    """
    found: list[int] = []
    for token in source:
        start = found[-1] + 1 if found else 0
        if token not in destination[start:]:
            raise ValueError(
                f"{name}: the destination must hold the words of the source in their order, and more between"
            )
        found.append(destination.index(token, start))
    shift = found[-1] - len(source) + 1 if found else 0
    return found + [min(place + shift, length - 1) for place in range(len(source), length)]

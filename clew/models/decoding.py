"""Decoding: what transformers' `generate` is told. Greedy unless something else was asked for, and nothing unasked.

The generation config that comes with weights may hold penalties, temperatures and forbidden tokens, which would change what
"greedy" means without a word. So it is left out, but for the tokens that end a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

USUAL = 20
"""So many tokens are written if nothing else is said."""
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
ALONE = ("num_beams", "num_return_sequences")
OURS = ("inputs", "input_ids", "inputs_embeds", "attention_mask")


def bare_config(module: PreTrainedModel) -> GenerationConfig:
    """The tokens that start, end and pad a text, and nothing else of what came with the weights."""
    there: Any = module.generation_config
    names = ("bos", "eos", "pad", "decoder_start")
    return GenerationConfig(**{f"{name}_token_id": getattr(there, f"{name}_token_id", None) for name in names})


def decoding(prompt: int, max_new_tokens: int | None, options: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """How many tokens to write, and the other settings of `generate`.

    Args: prompt: tokens of the longest prompt. options: as the user gave them; a `generation_config` among them stands for
        what it sets.
    Raises: ValueError for options that contradict each other, or that are not possible here.
    """
    given = dict(options)
    config = given.pop("generation_config", None)
    if config is not None:
        given = {name: value for name, value in config.to_diff_dict().items() if name != "transformers_version"} | given
    if ours := [name for name in OURS if name in given]:
        raise ValueError(f"{ours[0]}= is made of the prompts; give those, as text, as chats or as token ids")
    for many in ALONE:
        if (given.get(many) or 1) > 1:
            raise ValueError(
                f"{many}={given[many]} is not possible here: one text is written for each prompt; "
                "give a prompt several times, and do_sample=True, for several texts"
            )
    idle = [name for name in SAMPLING if given.get(name) is not None]
    if idle and not given.get("do_sample"):
        raise ValueError(f"{idle[0]}={given[idle[0]]} says how to sample, but nothing is sampled; add do_sample=True")
    new = given.pop("max_new_tokens", None) if max_new_tokens is None else max_new_tokens
    new = _new_tokens(prompt, new, given.pop("max_length", None))
    given.pop("max_new_tokens", None)
    return new, {"do_sample": False, "use_cache": True, **dict.fromkeys(ALONE, 1)} | given


def _new_tokens(prompt: int, new: int | None, whole: int | None) -> int:
    """How many tokens to write, said by their number or by that of the whole text."""
    if new is not None and whole is not None:
        raise ValueError(f"max_new_tokens={new} and max_length={whole} both say where to end; give one of them")
    room = (USUAL if new is None else new) if whole is None else whole - prompt
    if room < 1:
        said = f"max_new_tokens={new}" if whole is None else f"max_length={whole} with a prompt of {prompt} tokens"
        raise ValueError(f"{said} leaves no token to write; give at least 1 more")
    return room

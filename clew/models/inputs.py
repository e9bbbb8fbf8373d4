"""What a module takes and gives, behind rows of ids.

Whatever is asked of a model is a row of ids, which can be repeated, joined, compared and kept. An id below the size of the
vocabulary is a token. A larger one stands for something that was shown to the model, a picture or a recording, at one
position; it is a hash of what was shown, so equal rows ask the same wherever they are kept. For a model with an encoder and a
decoder a row holds what both are given, with a `BREAK` between them.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clew.models.offloaded import runs_on
from clew.models.tokens import BREAK, SHOWN

WORDS = "input_ids"
TYPES = "mm_token_type_ids"
TOKENWISE = frozenset({TYPES, "token_type_ids"})
"""What holds a number for each token of a text with something shown."""
PLACES = ("image_token_id", "image_token_index", "audio_token_id", "audio_token_index", "video_token_id")
"""Fields of configs with the token in whose places a picture or a recording stands in a text."""


def ask(module: PreTrainedModel, given: Tensor | Mapping[str, Tensor], **more: Any) -> Any:
    """What a module gives for token ids, or for the one other thing that it takes, without a cache unless `more` says so.

    Args: given: ids [batch, seq], or pictures or recordings as floats [batch, ...]; or all that it takes, by name.
    """
    if isinstance(given, Tensor):
        given = {module.main_input_name: given} if given.is_floating_point() else of_tokens(given)
    more = ({"use_cache": False} if keeps_cache(module) else {}) | more
    return module(**given, **more)


def given_by(output: Any) -> Tensor:
    """Logits, or the last states of a module that has none. Raises: ValueError for a module that gives neither."""
    for name in ("logits", "last_hidden_state"):
        found = getattr(output, name, None)
        if isinstance(found, Tensor):
            return found
    names = ", ".join(output.keys()) if hasattr(output, "keys") else type(output).__name__
    raise ValueError(f"it gives neither logits nor last_hidden_state, but {names}")


def of_tokens(ids: Tensor) -> dict[str, Tensor]:
    """Token ids as a module takes them, those after a `BREAK` for its decoder."""
    at = break_in(ids)
    return {WORDS: ids} if at is None else {WORDS: ids[:, :at], "decoder_input_ids": ids[:, at + 1 :]}


def break_in(ids: Tensor) -> int | None:
    """In which column the `BREAK` of these rows stands. Raises: ValueError where it is not one for all."""
    here = ids == BREAK
    if not bool(here.any()):
        return None
    columns = here.any(0).nonzero()[:, 0].tolist()
    if len(columns) != 1 or not bool(here[:, columns[0]].all()) or columns[0] in (0, ids.shape[1] - 1):
        raise ValueError(
            "what the encoder is asked and what the decoder has written must be parted at one position in all prompts of a "
            f"batch, with tokens on both sides; they are at {columns}"
        )
    return columns[0]


@lru_cache(maxsize=256)
def parameters_of(kind: type[nn.Module]) -> frozenset[str]:
    """The names of what a module's forward takes."""
    return frozenset(inspect.signature(kind.forward).parameters)


def keeps_cache(module: PreTrainedModel) -> bool:
    """Whether a module heeds `use_cache`: by name, or because it hands on to another what it does not know."""
    takes = parameters_of(type(module))
    return "use_cache" in takes or ("kwargs" in takes and hasattr(module.config.get_text_config(), "use_cache"))


def takes_words(module: PreTrainedModel) -> bool:
    """Whether a module can be asked with token ids alone."""
    return WORDS in parameters_of(type(module)) and module.main_input_name == WORDS


def samples(module: PreTrainedModel, n: int, seed: int = 0) -> Tensor:
    """Random pictures, or recordings, as the module's config says that they are. Raises: ValueError where it does not say.

    Returns: floats [n, ...].
    """
    name, held = module.main_input_name, module.config
    held = getattr(held, "vision_config", held) if not hasattr(held, "image_size") else held
    shape: tuple[int, ...] | None = None
    if name == "pixel_values" and isinstance(size := getattr(held, "image_size", None), int | list | tuple):
        high, wide = (size, size) if isinstance(size, int) else tuple(size)
        shape = (getattr(held, "num_channels", 3), high, wide)
    elif name == "input_features" and hasattr(held, "num_mel_bins"):
        shape = (held.num_mel_bins, 2 * held.max_source_positions)
    if shape is None:
        raise ValueError(f"it takes {name}, and its config does not say of which shape")
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *shape, generator=generator).to(runs_on(module), module.dtype)


class Inputs:
    """What was shown to one module, and how rows of ids become what it takes."""

    def __init__(self, module: PreTrainedModel, positions: int = 0) -> None:
        """Args: positions: of a picture or recording, where the module takes nothing else."""
        self.module = module
        self.positions = positions
        self._shown: dict[int, dict[str, Tensor]] = {}
        self._place: dict[int, int] = {}
        """The token in whose places each of them stands in a text."""

    @property
    def places(self) -> frozenset[int]:
        """The tokens in whose places something shown stands in a text."""
        held = (getattr(self.module.config, name, None) for name in PLACES)
        return frozenset(token for token in held if isinstance(token, int))

    def show(self, tensors: Mapping[str, Tensor], rows: Sequence[Sequence[int]] = ()) -> list[tuple[int, ...]]:
        """Rows of ids that stand for these tensors, which are kept with the model.

        Args: tensors: by the name under which the module takes them, [row, ...]; all of them belong to the row where there is
            one row of ids. rows: token ids of texts, in which the tokens of `places` are put in place of.
        Raises: ValueError for a name that the module does not take, values that are not finite, a row without a place or with
            places of two kinds, or one without the kinds of its tokens where positions follow from them.
        """
        takes = parameters_of(type(self.module))
        for name, tensor in tensors.items():
            if name not in takes or name == WORDS:
                raise ValueError(f"{type(self.module).__name__} takes no {name!r}; it takes {', '.join(sorted(takes))}")
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise ValueError(f"{name} holds values that are not finite numbers (NaN or inf)")
        if not tensors or (self.module.main_input_name not in tensors and not rows):
            raise ValueError(f"there is nothing to show: give {self.module.main_input_name}=...")
        if rows and TYPES in takes and TYPES not in tensors:
            raise ValueError(
                f"in {type(self.module).__name__} the positions of what is shown follow from {TYPES}, [prompt, seq]: 0 for "
                "a token of the text, 1 in the places of a picture, 2 of a video; give it too, as the model's processor does"
            )
        main = tensors.get(self.module.main_input_name)
        if self.positions and main is not None and main.shape[1:] != (made := samples(self.module, 1)[0].shape):
            raise ValueError(
                f"{self.module.main_input_name} is {list(main.shape)}; for {self.positions} positions give "
                f"[prompt, {', '.join(map(str, made))}]"
            )
        n = 1 if len(rows) == 1 else len(rows) or len(next(iter(tensors.values())))
        if wrong := [name for name, tensor in tensors.items() if n > 1 and len(tensor) != n]:
            raise ValueError(f"{wrong[0]} has {len(tensors[wrong[0]])} rows, and there are {n} prompts")
        found: list[tuple[int, ...]] = []
        for i in range(n):
            held = {name: (t if n == 1 else t[i : i + 1]).detach() for name, t in tensors.items()}
            one = SHOWN | int(_digest(held), 16) % SHOWN
            here = sorted(self.places & set(rows[i])) if rows else []
            if len(here) > 1:
                raise ValueError(
                    f"prompt {i} has places of several kinds, of the tokens {here}; a prompt holds things of one kind"
                )
            if rows and not here:
                raise ValueError(
                    f"prompt {i} has no place for what is shown; its config names {sorted(self.places) or 'none'}, the token "
                    "that the model's processor writes there"
                )
            self._shown[one] = {name: t.to(runs_on(self.module)) for name, t in held.items()}
            if here:
                self._place[one] = here[0]
            found.append(
                tuple(one if token in self.places else token for token in rows[i]) if rows else (one,) * self.positions
            )
        return found

    def knows(self, ids: Tensor) -> Tensor:
        """Which ids stand for something that was shown, or for the break of a model that has one."""
        known = [*self._shown, *[BREAK] * self.parted]
        return torch.isin(ids, torch.tensor(known, dtype=ids.dtype, device=ids.device))

    @property
    def parted(self) -> bool:
        """Whether the module has an encoder and a decoder."""
        return bool(self.module.config.is_encoder_decoder) and "decoder_input_ids" in parameters_of(type(self.module))

    @property
    def start(self) -> int:
        """What a decoder begins with. Raises: ValueError where the config does not say."""
        held = self.module.config, getattr(self.module, "generation_config", None)
        found = next((t for c in held if (t := getattr(c, "decoder_start_token_id", None)) is not None), None)
        if found is None:
            raise ValueError(
                f"the config of this {type(self.module).__name__} does not say with which token its decoder begins "
                "(decoder_start_token_id)"
            )
        return int(found)

    def framed(self, row: Sequence[int]) -> list[int]:
        """A row with all that it needs: what the decoder begins with, where it has one and nothing was said of it."""
        return [*row, BREAK, self.start] if self.parted and BREAK not in row else [*row]

    def of(self, ids: Tensor) -> dict[str, Tensor]:
        """What the module takes in place of these rows.

        Raises: ValueError for rows that do not go together: what they were shown has other names, or numbers for each token
            of rows of another length.
        """
        shown = ids > BREAK
        if not bool(shown.any()):
            return of_tokens(ids)
        rows = [list(dict.fromkeys(row[here].tolist())) for row, here in zip(ids, shown, strict=True)]
        held = [self._shown[one] for row in rows for one in row]
        if other := [one.keys() ^ held[0].keys() for one in held if one.keys() != held[0].keys()]:
            names = ", ".join(sorted(other[0]))
            raise ValueError(f"some of these prompts were shown with {names}, and others without; run them apart")
        for name in TOKENWISE & held[0].keys():
            if len(held) != len(ids) or any(one[name].shape != (1, ids.shape[1]) for one in held):
                raise ValueError(
                    f"prompts that are shown something with {name}, a number for each token, are not padded; run together "
                    "those of one length that are all shown something"
                )
        tensors = {name: torch.cat([one[name] for one in held]) for name in held[0]}
        if self.positions:
            return tensors
        words = ids.clone()
        for one in {one for row in rows for one in row}:
            words[ids == one] = self._place[one]
        return {WORDS: words} | tensors


def _digest(held: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(held):
        tensor = held[name].contiguous().cpu()
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()

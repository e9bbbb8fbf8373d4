"""A body: a transformers module with everything clew knows about it. Shared by all models seen in it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clew.changes import Update
from clew.evidence import Prompt
from clew.models.architecture import Architecture, architecture_of
from clew.models.fingerprint import fingerprint, stamp
from clew.models.state import Held, in_state, lock_of
from clew.models.taps import Tap, taps_of
from clew.models.tokens import left_padded, rows_of
from clew.models.weights import Linear, linear_of, updated, weights_of
from clew.near import near
from clew.sites import PARTS, Site, Weight

NEEDS = {
    "attn": "writes",
    "mlp": "writes",
    "head": "heads",
    "neuron": "neurons",
    "pattern": "pattern",
    "final": "final",
}
"""The promise of selfcheck on which the meaning of a part rests."""


class Body:
    """The module, its tokenizer, its record, and where its sites are."""

    def __init__(self, module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, name: str) -> None:
        self.module = module
        self.name = name
        self._tokenizer = tokenizer
        self.record: Architecture = architecture_of(module)
        try:
            self.taps: dict[Site, Tap] = taps_of(module, self.record)
        except AttributeError as error:
            family = module.config.model_type
            raise ValueError(f"this {family!r} model is not built as its architecture record says: {error}") from error
        self.blocks: list[nn.Module] = list(module.get_submodule(self.record.blocks).children())
        self.unembed: nn.Module = module.get_submodule(self.record.unembed)
        self.n_layers = len(self.blocks)
        self.n_heads, self.n_kv_heads = self.record.heads(module.config)
        self.parallel = bool(self.record.parallel(module.config))
        self.refused: dict[str, str] = {}
        """What selfcheck found not to hold: a name and the reason in words."""
        self._looked: tuple[dict[Site, int], bool] | None = None
        self._hashed: tuple[str, str] | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Raises: ValueError when the model was opened without one."""
        if self._tokenizer is None:
            raise ValueError(f"{self.name} was opened without a tokenizer; pass clew.open(module, tokenizer=...)")
        return self._tokenizer

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    def site(self, address: Site | str) -> Site:
        """The site of that address. Raises: ValueError saying which sites this model has."""
        site = Site.parse(address)
        if site in self.taps:
            self.require("exact")
            self.require(NEEDS.get(site.part, "exact"))
            return site
        parts = sorted({s.part for s in self.taps}, key=list(PARTS).index)
        if site.part not in parts:
            raise ValueError(f"{self.name} has no site {str(site)!r}; {near(site.part, parts)}")
        raise ValueError(
            f"{str(site)!r} is not a site of {self.name} ({self.n_layers} layers: "
            f"{site.part}.0 to {site.part}.{self.n_layers - 1})"
        )

    def linear(self, address: Weight | str) -> Linear:
        """The linear map at an address. Raises: ValueError naming the near addresses."""
        self.require("weights")
        return linear_of(self, address)

    def weights(self, *parts: str) -> list[Weight]:
        """The addresses of all linear maps of these kinds, in forward order. Raises: ValueError for an unknown kind."""
        return weights_of(self, *parts)

    def updated(self, updates: Sequence[Update]) -> Body:
        """A body of the same model with these weights changed; it shares every other tensor with this one.

        Raises: EditDidNotFire for an update that changes no bit; ValueError for one that does not fit.
        """
        self.require("weights")
        twin = Body(updated(self, updates), self._tokenizer, self.name)
        twin.refused = dict(self.refused)
        return twin

    @property
    def unembedding(self) -> Tensor:
        """The matrix of the unembedding as the module holds it, [vocab, d_model]; not a copy."""
        with lock_of(self.module):
            return self.unembed.get_parameter("weight").detach()

    @property
    def vocabulary(self) -> int:
        """How many tokens the model has logits of."""
        return len(self.unembedding)

    @property
    def context(self) -> int | None:
        """For how many tokens the model is made; None where nothing in it says so (positions by slopes, ALiBi)."""
        config = self.module.config
        longest = getattr(config, "max_position_embeddings", None)
        stretched = getattr(config, "rope_parameters", None) or {}
        if longest is None or getattr(config, "alibi", False):
            return None
        made_for = stretched.get("original_max_position_embeddings", longest)
        return max(longest, int(made_for * stretched.get("factor", 1)))

    def norm_before(self, part: str, layer: int) -> nn.Module:
        """The norm between the stream and what the attention ("attn") or the MLP ("mlp") of a block reads."""
        path = self.record.mlp_norm if part == "mlp" else self.record.attn_norm
        return self.blocks[layer].get_submodule(path if isinstance(path, str) else path(self.module.config))

    def norm_after(self, part: str, layer: int) -> nn.Module | None:
        """The norm between an output projection ("out" or "down") and the stream, as Gemma 2 and 3 have one."""
        record = self.record
        path, inside = {
            "out": (record.attn_write, (record.attn, record.output)),
            "down": (record.mlp_write, (record.mlp, record.down)),
        }[part]
        return None if not path or path in inside else self.blocks[layer].get_submodule(path)

    @cached_property
    def attentions(self) -> list[nn.Module]:
        """The module of each block that calls the attention: the owner of its output projection."""
        return [block.get_submodule(self.record.output.rpartition(".")[0]) for block in self.blocks]

    def require(self, promise: str) -> None:
        """Raises: ValueError when selfcheck found that this promise does not hold for the model."""
        if promise in self.refused:
            raise ValueError(f"{self.name}: {self.refused[promise]} (`clew check` shows what was measured)")

    @property
    def widths(self) -> dict[Site, int]:
        """Width of every site but the patterns."""
        return self._seen[0]

    @property
    def block_returns_tuple(self) -> bool:
        """Whether a block hands on a tuple (older families) or the stream itself."""
        return self._seen[1]

    @property
    def _seen(self) -> tuple[dict[Site, int], bool]:
        """Widths, and whether blocks return tuples, read off a run on one token, made once.

        No `cached_property`: that has a lock of its own, and a thread that runs the module may wait for it.
        """
        if self._looked is None:
            self._looked = in_state(self.module, self._look)
        return self._looked

    def _look(self, held: Held) -> tuple[dict[Site, int], bool]:
        widths: dict[Site, int] = {}
        tuples: list[bool] = []
        for site, tap in self.taps.items():
            if site.part != "pattern":
                tap.attach(held, partial(_measure, widths, site), 1)
        held.hook(self.blocks[0], lambda module, args, output: tuples.append(isinstance(output, tuple)))
        with torch.no_grad():
            self.module(input_ids=torch.zeros(1, 1, dtype=torch.long, device=self.device), use_cache=False)
        return widths, tuples[0]

    def mask_arguments(self, real: Tensor) -> dict[str, Tensor]:
        """What a padded batch needs: a mask, and positions that count real tokens only. Nothing without padding."""
        if bool(real.all()):
            return {}
        arguments = {"attention_mask": real.long()}
        if "position_ids" in inspect.signature(self.module.forward).parameters:
            arguments["position_ids"] = (real.long().cumsum(-1) - 1).clamp(min=0)
        return arguments

    def tokens(self, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """Token ids, left padded, and which are real; see `clew.models.tokens`."""
        if not prompts:
            raise ValueError("there is nothing to run: no prompts were given")
        ids, real = left_padded(rows_of(self, prompts))
        return ids.to(self.device), real.to(self.device)

    @property
    def fingerprint(self) -> str:
        """A hash of the weights as they are now; they are hashed again when they have changed."""
        with lock_of(self.module):
            now = stamp(self.module)
            if self._hashed is None or self._hashed[0] != now:
                self._hashed = now, fingerprint(self.module)
            return self._hashed[1]

    @property
    def config_hash(self) -> str:
        """A hash of the config: the same weights under another one (rope, norms, windows) are another model."""
        said = ("_name_or_path", "transformers_version")  # of where it comes from, not of what it computes
        held = {k: v for k, v in self.module.config.to_dict().items() if k not in said}
        return hashlib.sha256(json.dumps(held, default=str).encode()).hexdigest()[:8]


def _measure(widths: dict[Site, int], site: Site, x: Tensor) -> Tensor:
    widths[site] = x.shape[-1]
    return x

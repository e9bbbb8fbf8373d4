"""A body: a transformers module with everything clew knows about it. Shared by all models seen in it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clew.changes import Update
from clew.evidence import Prompt
from clew.models.fingerprint import fingerprint, stamp
from clew.models.inference.kept import known_layout
from clew.models.inputs import Inputs, ask, break_in, given_by, parameters_of, samples
from clew.models.layout import KINDS, Kind, Layout, Part
from clew.models.offloaded import held, runs_on
from clew.models.state import Held, in_state, lock_of
from clew.models.taps import Tap, taps_of
from clew.models.tokens import BREAK, padded, rows_of
from clew.models.weights import Linear, apart, linear_of, updated, weights_of
from clew.near import near
from clew.sites import ENCODER, PARTS, PATTERNS, Site, Weight

NEEDS = {
    "attn": "writes",
    "cross": "writes",
    "mixer": "writes",
    "shared": "shared",
    "mlp": "writes",
    "head": "heads",
    "cross_head": "heads",
    "cross_pattern": "pattern",
    "neuron": "neurons",
    "shared_neuron": "neurons",
    "pattern": "pattern",
    "expert_neuron": "experts",
    "expert": "experts",
    "final": "final",
}
"""The promise of selfcheck on which the meaning of a part rests."""


class After(NamedTuple):
    """What stands between an output projection and the stream."""

    norm: nn.Module | None
    """As in Gemma 2 and 3."""
    factor: float
    """As in Granite."""

    @property
    def nothing(self) -> bool:
        return self.norm is None and self.factor == 1


class Body:
    """The module, its tokenizer, its layout, and where its sites are."""

    def __init__(
        self,
        module: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None,
        name: str,
        layout: Layout | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        self.module = module
        self.name = name
        self._tokenizer = tokenizer
        self._hashed: tuple[str, str] | None = None
        try:
            self.layout: Layout = layout or known_layout(module, lambda: f"{self.fingerprint}-{self.config_hash}")
            self.taps: dict[Site, Tap] = taps_of(module, self.layout)
        except AttributeError as error:
            family = module.config.model_type
            raise ValueError(f"this {family!r} model is not built as its architecture record says: {error}") from error
        self.blocks: list[nn.Module] = self.layout.blocks_of(module)
        self.inputs = inputs or Inputs(module, self.layout.positions)
        self.n_layers = len(self.blocks)
        self.stacks: dict[str, Layout] = {"": self.layout}
        """The layouts by what their addresses begin with: nothing, and `encoder` where the model has one beside a decoder."""
        if self.layout.encoder is not None:
            self.stacks[ENCODER] = self.layout.encoder
        parts = [part for block in self.layout.parts for part in block]
        self.missing: dict[Site, str] = {
            Site(name, layer, stack): why
            for stack, layout in self.stacks.items()
            for layer, block in enumerate(layout.parts)
            for part in block
            for name, why in part.missing.items()
        }
        """Sites that are not found, though others of their kind have them, and why."""
        heads = Counter(part.heads for part in parts if part.heads[0])
        self.n_heads, self.n_kv_heads = heads.most_common(1)[0][0] if heads else (0, 0)
        self.parallel = all(part.after == 0 for part in parts if part.kind == "mlp")
        self.refused: dict[str, str] = {}
        """What selfcheck found not to hold: a promise, or a promise and an address (`pattern pattern.3`), and why."""
        self._looked: tuple[dict[Site, int], bool, int] | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Raises: ValueError when the model was opened without one."""
        if self._tokenizer is None:
            raise ValueError(f"{self.name} was opened without a tokenizer; pass clew.open(module, tokenizer=...)")
        return self._tokenizer

    @property
    def device(self) -> torch.device:
        return runs_on(self.module)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    def site(self, address: Site | str) -> Site:
        """The site of that address. Raises: ValueError saying which sites this model has."""
        site = Site.parse(address)
        if site in self.taps:
            for promise in ("exact", NEEDS.get(site.part, "exact")):
                self.require(promise, site)
            return site
        if site in self.missing:
            raise ValueError(f"{self.name} has no site {str(site)!r}: {self.missing[site]}")
        if site.part == "neuron" and (units := Site("expert_neuron", site.layer, site.stack)) in self.taps:
            raise ValueError(
                f"{self.name} has no site {str(site)!r}: this block is a mixture of experts, whose units are {str(units)!r}"
            )
        parts = sorted({s.part for s in self.taps}, key=list(PARTS).index)
        if site.part not in parts:
            raise ValueError(f"{self.name} has no site {str(site)!r}; {near(site.part, parts)}")
        layers = [s.layer for s in self.taps if (s.part, s.stack) == (site.part, site.stack)]
        if site.stack not in self.stacks:
            raise ValueError(f"{self.name} has no site {str(site)!r}: it has no {site.stack} beside a decoder")
        if not layers:
            raise ValueError(f"{self.name} has no site {str(site)!r}; its {site.stack or 'decoder'} has no {site.part}")
        all_of_them = len(layers) == self.n_layers
        said = f"{site.part}.0 to {site.part}.{self.n_layers - 1}" if all_of_them else f"{site.part} in {layers}"
        raise ValueError(f"{str(site)!r} is not a site of {self.name} ({self.n_layers} layers: {said})")

    def linear(self, address: Weight | str) -> Linear:
        """The linear map at an address. Raises: ValueError naming the near addresses."""
        self.require("weights", address)
        return linear_of(self, address)

    def weights(self, *parts: str) -> list[Weight]:
        """The addresses of all linear maps of these kinds, in forward order. Raises: ValueError for an unknown kind."""
        return weights_of(self, *parts)

    @property
    def unembed(self) -> nn.Module:
        """The linear map that gives the logits. Raises: ValueError for a model without a head."""
        if not self.layout.unembed:
            raise ValueError(
                f"{self.name} has no head that gives logits (it is a {type(self.module).__name__}); read its states, at the "
                "site final, or open the class with the head"
            )
        return self.module.get_submodule(self.layout.unembed)

    def updated(self, updates: Sequence[Update]) -> Body:
        """A body of the same model with these weights changed; it shares every other tensor with this one.

        Raises: EditDidNotFire for an update that changes no bit; ValueError for one that does not fit.
        """
        for at in (None, *(update.at for update in updates)):
            self.require("weights", at)
            if self.layout.order and at is not None and at.layer is not None:
                raise ValueError(
                    f"the blocks of {self.name} share their weights, so a change of {at} is one of all blocks; name the "
                    f"module if that is meant: {self.linear(at).name.removesuffix('.weight')}"
                )
        twin = Body(updated(self, updates), self._tokenizer, self.name, self.layout, self.inputs)
        twin.refused = dict(self.refused)
        return twin

    @property
    def final_norm(self) -> nn.Module:
        """The norm before the unembedding. Raises: ValueError where something else stands there."""
        if not self.layout.norm:
            raise ValueError(
                f"what the unembedding of {self.name} reads is not one norm of the stream, so the stream cannot be read as "
                "logits; the site final holds what it does read"
            )
        return self.module.get_submodule(self.layout.norm)

    @property
    def unembedding(self) -> Tensor:
        """The matrix of the unembedding as the module holds it, [vocab, d_model]; not a copy.

        Raises: ValueError for a layer that holds none, as quantised ones may.
        """
        weight = getattr(self.unembed, "weight", None)
        why = "" if isinstance(weight, Tensor) and weight.is_meta else apart(self.unembed)
        if why or not isinstance(weight, Tensor):
            raise ValueError(
                f"the unembedding of {self.name} holds no matrix of its own: {why}; open the model unquantised, and merged"
            )
        with lock_of(self.module):
            return held(self.unembed, "weight", weight).detach()

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows; 0 where it takes none."""
        if self.layout.positions:
            return 0
        table = None if self.layout.answers in ("next", "mask") else self.module.get_input_embeddings()
        weight = getattr(self.unembed if table is None else table, "weight", None)
        return len(weight) if isinstance(weight, Tensor) and weight.is_floating_point() else self._seen[2]

    @property
    def classes(self) -> tuple[str, ...]:
        """Of a model that answers with a class, their names."""
        if self.layout.answers != "class":
            return ()
        named: dict[Any, Any] = self.module.config.id2label or {}
        return tuple(str(named.get(i, i)) for i in range(self._seen[2]))

    @property
    def n_answers(self) -> int:
        """How many tokens, or classes, an answer is one of."""
        return self._seen[2] if self.layout.answers == "class" else self.vocabulary

    @property
    def mask_token(self) -> int:
        """The token in whose place the model answers. Raises: ValueError where nothing says which it is."""
        held = (getattr(one, "mask_token_id", None) for one in (self._tokenizer, self.module.config))
        found = next((token for token in held if token is not None), None)
        if found is None:
            raise ValueError(
                f"{self.name} answers in the place of its mask token, and neither a tokenizer nor its config says which that "
                "is; open it with tokenizer=..., or ask for all logits (logits=None)"
            )
        return int(found)

    def answered_at(self, tokens: Tensor) -> Tensor:
        """[batch] the position at which each prompt is answered.

        Raises: ValueError for prompts without one mask each, or a model that answers with no position.
        """
        if self.layout.answers == "next":
            return torch.full((len(tokens),), tokens.shape[1] - 1, device=tokens.device)
        if self.layout.answers != "mask":
            raise ValueError(
                f"{self.name} answers with the whole of its input, and at no position; say positions by number"
            )
        masks = tokens == self.mask_token
        if bool((masks.sum(1) != 1).any()):
            first = int((masks.sum(1) != 1).nonzero()[0])
            raise ValueError(
                f"{self.name} answers in the place of its mask token ({self.mask_token}), and prompt {first} has "
                f"{int(masks[first].sum())} of them; give one, or ask for all logits (logits=None)"
            )
        return masks.int().argmax(1)

    def check_causal(self, what: str) -> None:
        """Raises: ValueError for a model in which positions see those after them, or whose answer is no next token."""
        if not self.layout.causal or self.layout.answers != "next":
            raise ValueError(
                f"{what} needs a causal language model, and {self.name} is none ({type(self.module).__name__})"
            )

    def call(self, tokens: Tensor, real: Tensor | None = None, **more: Any) -> Tensor:
        """What the module gives for these rows, without a cache unless `more` says so, [batch, seq, vocab].

        Of a model that answers with a class [batch, 1, class]; of one without a head its last states.
        """
        more = {} if real is None else self.mask_arguments(real, tokens) | more
        return self.answer(ask(self.module, self.inputs.of(tokens), **more))

    def answer(self, output: Any) -> Tensor:
        """The logits, or last states, of what the module gave, as `call` returns them."""
        found = given_by(output)
        return found[:, None] if self.layout.answers == "class" else found

    @property
    def context(self) -> int | None:
        """For how many tokens the model is made; None where nothing in it says so (positions by slopes, ALiBi)."""
        config = self.module.config
        longest = getattr(config, "max_position_embeddings", None)
        if self.layout.positions:
            return None
        stretched = getattr(config, "rope_parameters", None) or {}
        if longest is None or getattr(config, "alibi", False):
            return None
        made_for = stretched.get("original_max_position_embeddings", longest)
        return max(longest, int(made_for * stretched.get("factor", 1)))

    def block(self, layer: int, stack: str = "") -> nn.Module:
        """A block of a stack."""
        return self.stacks[stack].blocks_of(self.module)[layer] if stack else self.blocks[layer]

    def part_at(self, site: Site) -> Part:
        """The part that a site belongs to. Raises: StopIteration for a site that is none of a part."""
        kind = next((k for k in KINDS if site.part == k or site.part.startswith(f"{k}_")), None)
        kind = kind or ("mlp" if site.part in ("neuron", "router", "expert_neuron", "expert") else "attn")
        parts = self.stacks[site.stack].parts[site.layer or 0]
        return next(p for p in parts if p.kind == kind or (kind == "shared" and p.shared))

    def part(self, kind: Kind, layer: int) -> Part:
        """A part of a block. Raises: ValueError where the block has none of that kind."""
        found = self.layout.part(kind, layer)
        if found is None:
            has = ", ".join(part.kind for part in self.layout.parts[layer])
            raise ValueError(f"block {layer} of {self.name} has no {kind}; it has {has}")
        return found

    def norm_before(self, kind: Kind, layer: int) -> nn.Module:
        """The norm between the stream and what a part of a block reads; the identity where there is none."""
        path = self.part(kind, layer).norm
        return self.blocks[layer].get_submodule(path) if path else nn.Identity()

    def after(self, map: str, layer: int) -> After:
        """What stands between an output projection ("out" or "down") and the stream.

        Raises: ValueError for a part that has none, or where something else stands there.
        """
        part = self.part("attn" if map == "out" else "mlp", layer)
        self.require("passage", f"{part.kind}.{layer}")
        return After(self.blocks[layer].get_submodule(part.norm_out) if part.norm_out else None, part.factor)

    @cached_property
    def attentions(self) -> dict[int, nn.Module]:
        """The module of each block that calls the attention: the owner of its output projection."""
        parts = {layer: self.layout.part("attn", layer) for layer in range(self.n_layers)}
        return {
            layer: self.blocks[layer].get_submodule(part.caller)
            for layer, part in parts.items()
            if part is not None and part.caller
        }

    def require(self, promise: str, address: Site | Weight | str | None = None) -> None:
        """Raises: ValueError when selfcheck found that this promise does not hold for the model, or at this address."""
        if why := self.refused.get(promise, self.refused.get(f"{promise} {address}")):
            raise ValueError(f"{self.name}: {why} (`clew check` shows what was measured)")

    @property
    def resumes(self) -> bool:
        """Whether a run may take from a recorded one what comes below its first edit."""
        return "resume" not in self.refused

    def length(self, site: Site, tokens: Tensor) -> int:
        """How many positions a site has in these rows."""
        own = self.columns(tokens, self.stack_of(site))
        return own.stop - own.start

    def holds(self, site: Site) -> bool:
        """Whether the model has this site and it is what it promises."""
        needs = ("exact", NEEDS.get(site.part, "exact"))
        return site in self.taps and not any({p, f"{p} {site}"} & self.refused.keys() for p in needs)

    @property
    def widths(self) -> dict[Site, int]:
        """Width of every site but the patterns."""
        return self._seen[0]

    @property
    def block_returns_tuple(self) -> bool:
        """Whether a block hands on a tuple (older families) or the stream itself."""
        return self._seen[1]

    @property
    def _seen(self) -> tuple[dict[Site, int], bool, int]:
        """Widths, whether blocks return tuples, and the number of logits, read off a run on one token, made once.

        No `cached_property`: that has a lock of its own, and a thread that runs the module may wait for it.
        """
        if self._looked is None:
            self._looked = in_state(self.module, self._look)
        return self._looked

    def _look(self, held: Held) -> tuple[dict[Site, int], bool, int]:
        widths: dict[Site, int] = {}
        tuples: list[bool] = []
        for site, tap in self.taps.items():
            if site.part not in PATTERNS:
                tap.attach(held, partial(_measure, widths, site), 1)
        held.hook(self.blocks[0], lambda module, args, output: tuples.append(isinstance(output, tuple)))
        with torch.no_grad():
            one = self.sample(1, length=1) if self.layout.positions else [self.inputs.framed((0,))]
            end = self.call(torch.tensor(one, device=self.device))
        return widths, tuples[0], end.shape[-1]

    def sample(self, n: int, *, length: int, seed: int = 0) -> list[tuple[int, ...]]:
        """Rows of random tokens of one length; or of random pictures, which have a length of their own."""
        if self.layout.positions:
            return self.inputs.show({self.module.main_input_name: samples(self.module, n, seed)})
        generator = torch.Generator().manual_seed(seed)
        known = self.vocabulary
        rows = torch.randint(min(3, known // 3), known, (n, length), generator=generator).tolist()
        return [(*row, BREAK, self.inputs.start, *row[4::-1]) if self.inputs.parted else tuple(row) for row in rows]

    def stack_of(self, site: Site) -> str:
        """The stack whose positions a site has: keys and values of the encoder's states have those of the encoder."""
        return ENCODER if site.part in ("cross_k", "cross_v") else site.stack

    def columns(self, tokens: Tensor, stack: str = "") -> slice:
        """Which columns of rows a stack is given: all, unless an encoder is given some and its decoder others."""
        at = break_in(tokens)
        if at is None:
            return slice(0, tokens.shape[1])
        return slice(0, at) if stack else slice(at + 1, tokens.shape[1])

    def mask_arguments(self, real: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        """What a padded batch needs: a mask, and positions that count real tokens only. Nothing without padding."""
        if bool(real.all()):
            return {}
        if self.inputs.parted:
            return {"attention_mask": real[:, self.columns(tokens, ENCODER)].long()}
        arguments = {"attention_mask": real.long()}
        if self.layout.causal and "position_ids" in parameters_of(type(self.module)):
            arguments["position_ids"] = (real.long().cumsum(-1) - 1).clamp(min=0)
        return arguments

    def tokens(self, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """Token ids, padded, and which are real; see `clew.models.tokens`.

        Padding is on the left where the answer comes after the last position, and else on the right, as what an encoder
        beside a decoder is asked.
        """
        if not prompts:
            raise ValueError("there is nothing to run: no prompts were given")
        held = (getattr(one, "pad_token_id", None) for one in (self._tokenizer, self.module.config))
        pad = (
            0
            if self.layout.causal and not self.inputs.parted
            else next((token for token in held if token is not None), 0)
        )
        rows = [self.inputs.framed(row) for row in rows_of(self, prompts)]
        if self.inputs.parted:
            return self._parted(rows, pad)
        ids, real = padded(rows, left=self.layout.causal, pad=pad)
        return ids.to(self.device), real.to(self.device)

    def _parted(self, rows: Sequence[list[int]], pad: int) -> tuple[Tensor, Tensor]:
        """What the encoder is asked, padded on the right, and what the decoder has written, of one length in all rows."""
        ends = [row.index(BREAK) for row in rows]
        written = [row[end:] for row, end in zip(rows, ends, strict=True)]
        if len(lengths := {len(row) - 1 for row in written}) > 1:
            raise ValueError(
                f"decoders have written {sorted(lengths)} tokens in these prompts; run those of one number together"
            )
        ids, real = padded([row[:end] for row, end in zip(rows, ends, strict=True)], left=False, pad=pad)
        after = torch.tensor(written)
        both = torch.cat([ids, after], 1), torch.cat([real, torch.ones_like(after, dtype=torch.bool)], 1)
        return both[0].to(self.device), both[1].to(self.device)

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

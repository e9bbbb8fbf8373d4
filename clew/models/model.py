"""Model: a transformers model seen in some basis, with some edits in force. Never changed in place."""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from clew.changes import ActivationEdit, Edit, Set, Update
from clew.dictionaries import Dictionary, Identity, Partition
from clew.doors import door
from clew.evidence import Given
from clew.models.body import Body
from clew.models.decoding import bare_config, decoding
from clew.models.inputs import break_in
from clew.models.run import Visitors, check_receipts, forward
from clew.models.state import Held, in_state
from clew.models.tokens import check_ids, check_lengths, listed, rows_of
from clew.models.trace import Receipt, Trace, receipts_frame
from clew.scale.shared import Shared
from clew.sites import ENCODER, PATTERNS, Site
from clew.tables import SHOWN, as_texts, more

Prompts = Int[Tensor, "batch seq"] | Given | Sequence[Given]
"""Token ids [batch, seq], one prompt, or several."""


@dataclass(frozen=True)
class Generation:
    """What a model wrote."""

    texts: tuple[str, ...]
    """Prompt and continuation of every prompt, special tokens left out."""
    tokens: Int[Tensor, "batch seq"]
    receipts: tuple[Receipt, ...]

    def __str__(self) -> str:
        return "\n".join(self.texts)

    def __repr__(self) -> str:
        return "\n".join([*map(repr, self.texts), *map(repr, self.receipts)])

    def _repr_html_(self) -> str:
        """The texts for a notebook, and what edits did to them."""
        return as_texts(self.texts[:SHOWN], [*more(len(self.texts), "texts"), *map(str, self.receipts)])

    def to_frame(self) -> Any:
        """The receipts as a pandas DataFrame, a row for each edit that was in force. Raises: ImportError without pandas."""
        return receipts_frame(self.receipts)


@dataclass(frozen=True, eq=False)
class Model:
    """A view: the same module under every view, another basis and other edits in each.

    A plain model is seen in neurons: one identity dictionary at each `neuron` site.
    """

    body: Body
    view: Mapping[Site, Dictionary] | None = None
    """Dictionaries by the site they write; None for a plain model."""
    edits: tuple[Edit, ...] = field(default=())
    """In force at every run, in the order they were made; the updates of weights among them are in `body` already."""
    bare: Body | None = field(default=None, repr=False)
    """The body without any update, where there are some."""
    shared: Shared | None = field(default=None, repr=False)
    """What was computed with this model and may be asked again; see `sharing`."""

    # What it is.

    @property
    def name(self) -> str:
        return self.body.name

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.body.tokenizer

    def told(self, answer: int) -> str:
        """A token as text, or a class by its name, of the number that it has among the logits."""
        classes = self.body.classes
        return classes[answer] if classes else str(self.tokenizer.decode([answer]))

    @property
    def device(self) -> torch.device:
        return self.body.device

    @property
    def n_layers(self) -> int:
        return self.body.n_layers

    @property
    def dictionaries(self) -> dict[Site, Dictionary]:
        """The basis in which methods see this model, by site in forward order."""
        view = replace(self, edits=()).neurons().view if self.view is None else self.view
        return dict(sorted(view.items(), key=lambda item: item[0].order))  # type: ignore[union-attr]

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """A hash of each dictionary of this view, by the site it writes; hashed once, for it reads every value."""
        return {str(site): dictionary.fingerprint for site, dictionary in self.dictionaries.items()}

    @property
    def units(self) -> str:
        """What the units of this view are called: features, neurons, heads, experts, components; units where mixed."""
        kinds = {dictionary.unit for dictionary in self.dictionaries.values()}
        if "component" in kinds <= {"head", "expert", "component"}:
            return "components"
        return f"{kinds.pop() if len(kinds) == 1 else 'unit'}s"

    def sites(self, *parts: str) -> list[Site]:
        """All sites of these parts (of every part without arguments) that hold what they promise, in forward order."""
        return [s for s in self.body.taps if (not parts or s.part in parts) and self.body.holds(s)]

    def __repr__(self) -> str:
        basis = "neurons" if self.view is None else f"{len(self.view)} dictionaries"
        edits = f", {len(self.edits)} edits" if self.edits else ""
        return f"Model({self.name}, {self.n_layers} layers, seen in {basis}{edits})"

    # Other views.

    @door()
    def through(self, *dictionaries: Dictionary) -> Model:
        """The same model seen in these dictionaries.

        Raises: ValueError for a site the model does not have, a width that does not fit, two
        dictionaries that write one site, one that reads several sites, or weights that are not numbers.
        """
        view: dict[Site, Dictionary] = {}
        for dictionary in dictionaries:
            if dictionary.joint:
                raise ValueError(
                    f"a {dictionary.kind} ({dictionary.extra_repr()}) reads several sites side by side, and a model is "
                    "seen through dictionaries that read one; encode what was recorded at its sites, side by side. "
                    "cross_layer_transcoder.layer(number) is one layer's own transcoder, which reads one site"
                )
            reads, writes = self.body.site(dictionary.reads), self.body.site(dictionary.writes)
            for site, width in ((reads, dictionary.d_in), (writes, dictionary.d_out)):
                if self.body.widths[site] != width:
                    raise ValueError(
                        f"a dictionary of width {width} cannot sit at {site}, which is {self.body.widths[site]} wide in "
                        f"{self.name}; was it trained on another model or site?"
                    )
            if reads.order > writes.order:
                raise ValueError(f"a dictionary cannot read {reads} and write {writes}, which comes before it")
            if writes in view:
                raise ValueError(f"two dictionaries write {writes}; a view has at most one per site")
            if any(b.is_floating_point() and not bool(b.isfinite().all()) for b in dictionary.buffers()):
                raise ValueError(f"the dictionary at {writes} holds values that are not finite numbers (NaN or inf)")
            there = next((b.device for b in dictionary.buffers()), self.device)
            view[writes] = dictionary if there == self.device else copy.deepcopy(dictionary).to(self.device)
        self._check_kept(view)
        return replace(self, view=view)

    def _check_kept(self, view: Mapping[Site, Dictionary]) -> None:
        """An edit of units in force means the dictionary it was made for; another would change what it does."""
        gated = {e.gate.at or e.at for e in self.activation_edits if e.gate and e.gate.unit is not None}
        for site in {e.at for e in self.activation_edits if e.basis != "value"} | gated:
            old, new = self.dictionaries[site], view.get(site)
            if new is not old and (new is None or new.fingerprint != old.fingerprint):
                raise ValueError(
                    f"an edit of units at {site} is in force, and its units are those of the dictionary there now; "
                    "keep that dictionary among the new ones, or choose the dictionaries first and edit then"
                )

    @door()
    def neurons(self, *sites: Site | str) -> Model:
        """The same model seen in single coordinates of these sites; MLP hidden units by default."""
        chosen = [self.body.site(s) for s in sites] or self.sites("neuron")
        if any(s.part in PATTERNS for s in chosen):
            raise ValueError(
                "the width of a pattern is the length of the prompt, so it has no neurons; use model.heads()"
            )
        return self.through(*(Identity(s, self.body.widths[s]) for s in chosen))

    def heads(self) -> Model:
        """The same model seen in attention heads: each head's mix of values is one unit."""
        sites = self.sites("head", "cross_head") or [self.body.site("head.0")]
        counts = [self.body.part_at(s).heads[0] for s in sites]
        return self.through(
            *(Partition(s, (self.body.widths[s] // n,) * n) for s, n in zip(sites, counts, strict=True))
        )

    def experts(self) -> Model:
        """The same model seen in experts: what each one that is chosen gives, times its weight, is one unit."""
        sites = self.sites("expert") or [self.body.site("expert.0")]
        width = self.body.widths[Site("embed")]
        return self.through(*(Partition(s, (width,) * (self.body.widths[s] // width)) for s in sites))

    def components(self, *, experts: bool = False) -> Model:
        """The same model seen in what writes into its stream: the embedding, every head, every MLP; a unit each.

        A state space, and an attention without heads that could be told apart, is one unit.

        Args:
            experts: see each expert of a mixture as a unit, and the shared ones that are part of it as one more, in place of
                the mixture as one. Shared experts that have no site are then in no unit.
        """
        body, sizes = self.body, dict[Site, tuple[int, ...]]()
        for stack, layout in body.stacks.items():
            embed = body.site(Site("embed", stack=stack))
            sizes[embed] = (body.widths[embed],)
            for layer, part in ((layer, part) for layer, parts in enumerate(layout.parts) for part in parts):
                heads = part.heads[0] if part.kind != "mlp" and part.projection else 0
                site = body.site(Site(part.site("head") if heads else part.kind, layer, stack))
                sizes[site] = (body.widths[site] // (heads or 1),) * (heads or 1)
        whole = self.through(*(Partition(site, size) for site, size in sizes.items()))
        if not experts:
            return whole
        each = dict(self.experts().dictionaries)
        for site in self.sites("shared"):  # within a mixture; beside one they are a component of their own
            if site not in sizes and replace(site, part="expert") in each:
                each[site] = Partition(site, (body.widths[site],))
        left = (d for s, d in whole.dictionaries.items() if s.part != "mlp" or replace(s, part="expert") not in each)
        return self.through(*left, *each.values())

    def sharing(self, gib: float = 1.0) -> Model:
        """The same model, which keeps in memory what the steps of a whole circuit have in common.

        The clean and the other run of a behaviour with the gradients there serve `find`, with and without positions, and
        `edges`; the ends of a trial (the model as it is, and with everything ablated) serve every measure of the circuit.
        They are kept by all that they depend on, weights and edits among them, so what has changed is computed anew. Views
        and edited models that are made from this one share with it.

        Args: gib: the memory that may be taken; what was not used for longest makes room.

        >>> view = view.sharing()
        >>> circuit = clew.find(view, task, held_out=False)
        >>> wired = clew.find(view, task, circuit, by="edges", held_out=False)  # by the same gradients
        """
        return replace(self, shared=Shared(round(gib * 2**30)))

    def edited(self, *edits: Edit | Iterable[Edit]) -> Model:
        """The same model with these edits in force at every run and every generated token.

        An `Update` of a weight makes a body that shares all other tensors with this one, which stays as it is.

        Args: edits: one by one, or stacks of them.
        Raises: ValueError for a site or weight the model does not have, or an edit of units at a site where
        the model is not seen through a dictionary; EditDidNotFire for an update that changes no bit.
        """
        flat = [e for given in edits for e in ([given] if isinstance(given, Edit) else given)]
        self._checked(e for e in flat if isinstance(e, ActivationEdit))
        updates = [e for e in flat if isinstance(e, Update)]
        if strange := [e for e in flat if not isinstance(e, ActivationEdit | Update)]:
            raise ValueError(f"a {type(strange[0]).__name__} is neither an edit at a site nor an update of a weight")
        body = self.body.updated(updates) if updates else self.body
        bare = self.bare or self.body if updates else self.bare
        return replace(self, body=body, edits=(*self.edits, *flat), bare=bare)

    @property
    def activation_edits(self) -> list[ActivationEdit]:
        """The edits of what flows, in the order they were made."""
        return [e for e in self.edits if isinstance(e, ActivationEdit)]

    @property
    def unedited(self) -> Model:
        """The same view of the model without any edit: the very tensors it was opened with."""
        return replace(self, body=self.bare or self.body, edits=(), bare=None)

    def undo(self, n: int = 1) -> Model:
        """The model without its last n edits; a stack may hold many. Raises: ValueError when it has fewer."""
        if not 0 <= n <= len(self.edits):
            raise ValueError(f"undo({n}) of a model with {len(self.edits)} edits; give a number from 0 to that")
        return self.unedited.edited(self.edits[: len(self.edits) - n])

    def _checked(self, edits: Iterable[Edit]) -> list[ActivationEdit]:
        given = list(edits)
        checked = [e for e in given if isinstance(e, ActivationEdit)]
        if checked:
            self.body.require("edits")
        if strange := [e for e in given if not isinstance(e, ActivationEdit)]:
            raise ValueError(f"{strange[0]} is no edit of what flows; put it on by model.edited(...) and run that")
        for edit in checked:
            site = self.body.site(edit.at)
            self.body.require("edits", site)
            if edit.gate:
                self._check_gate(edit)
            if edit.basis != "value" and site not in self.dictionaries:
                raise ValueError(
                    f"this edit is written in units of a dictionary at {site}, but the model is seen through "
                    f"{', '.join(map(str, self.dictionaries))}; use model.through(...) first"
                )
            if edit.units and edit.basis != "error":
                width = self.dictionaries[site].n_units if edit.basis == "code" else self.body.widths.get(site)
                if width is not None and max(edit.units) >= width:
                    raise ValueError(f"the edit names unit {max(edit.units)} at {site}, which has {width} units")
            if edit.units and edit.basis == "code" and isinstance(edit, Set) and isinstance(edit.value, Tensor):
                units = torch.ones(self.dictionaries[site].n_units, device=self.device)
                if edit.value.ndim and len(self.dictionaries[site].unfold(units)) != len(units):
                    raise ValueError(
                        f"a unit at {site} has many coordinates, so one number for each (its mean, say) cannot hold it; "
                        "set the site itself, with basis='value'"
                    )
        return checked

    def _check_gate(self, edit: ActivationEdit) -> None:
        assert edit.gate
        site = self.body.site(edit.gate.at or edit.at)
        if edit.gate.probe is not None:
            if edit.gate.probe.weight.shape != (width := self.body.widths[site],):
                raise ValueError(
                    f"a gate on a direction of shape {list(edit.gate.probe.weight.shape)} cannot read {site}, "
                    f"which is {width} wide"
                )
        elif site not in self.dictionaries:
            raise ValueError(
                f"the gate of the edit at {edit.at} reads unit {edit.gate.unit} at {site}, but the model is not "
                "seen through a dictionary there; use model.through(...) first"
            )
        elif edit.gate.unit not in range(units := self.dictionaries[site].n_units):
            raise ValueError(
                f"the gate of the edit at {edit.at} reads unit {edit.gate.unit} at {site}, which has {units}"
            )

    # Running.

    @door()
    def tokens(self, prompts: Prompts) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
        """Token ids, padded, and which of them are real.

        Padding is on the left, and for a model that answers in the place of a mask, or with the whole, on the right.

        Args: prompts: one or several, each as text, as a chat (the messages, which the tokenizer's template renders) or as
            token ids; or a tensor of ids [batch, seq], which is taken as it is.
        Raises: ValueError for ids that the model does not know, a chat without a template, or nothing.
        """
        if isinstance(prompts, Tensor):
            tokens, real = prompts.to(self.device), None
            if self.body.inputs.parted and tokens.ndim == 2 and break_in(tokens) is None:
                raise ValueError(
                    f"{self.name} has an encoder and a decoder, and this tensor does not say what the decoder has written; "
                    "give lists of ids, after which it begins, or columns with a BREAK between both"
                )
        else:
            tokens, real = self.body.tokens(listed(prompts))
        check_ids(tokens, self.body.vocabulary, self.name, self.body.inputs.knows(tokens))
        return tokens, torch.ones_like(tokens, dtype=torch.bool) if real is None else real

    @door()
    def run(
        self,
        tokens: Prompts,
        *,
        real: Bool[Tensor, "batch seq"] | None = None,
        read: Iterable[Site | str] = (),
        edits: Sequence[ActivationEdit] = (),
        grad: bool = False,
        leaves: bool = False,
        frozen: bool = False,
        logits: int | None = None,
        base: Trace | None = None,
        record: bool = False,
        prompt: int | None = None,
        past: Any = None,
    ) -> Trace:
        """Run prompts once.

        Args:
            tokens: token ids [batch, seq], or prompts as `tokens` takes them.
            real: which tokens are not padding (left padding); all of them by default.
            read: sites whose values the trace shall hold. With every site read, the logits are
                bit-identical to those of the bare module at rest: in eval mode, its weights not requiring gradients,
                for torch chooses some products by that.
            edits: in force beside those of the model, after them at a site that both edit.
            grad: tie what was read to the logits, for `trace.gradients`.
            leaves: make every site of the view a leaf, so that gradients are local to the segment
                between neighbouring sites; `trace.arrived` holds what came in there.
            frozen: hold attention patterns, norm scales and MLP writes still for the gradient, so that it sees a
                linear map from `embed` and each `mlp` to every other site, up to `final` (a cap on the logits is
                no part of it); with `grad`, an `mlp` that is read is a leaf.
            logits: those of how many last positions (all when None); 0 stops at the last read site.
            base: a trace made with `record=True` of the same prompts, or of prompts of which this
                batch is a whole number of copies, one after the other: blocks below the first site
                that is read or edited are not run again.
            record: keep the output of every block, to serve as a base.
            prompt: how many of the columns are the prompt, where an edit speaks of it; all by default. The others are then
                the response, as in the tokens that `generate` adds.
            past: keys and values of the same unpadded tokens before these, as the module gives with `use_cache=True`; it
                grows by these. Edits and `base` see these tokens only, the first of them at position 0.

        Raises: ValueError naming near sites, ids that the model does not know, or prompts that are too long for it;
        EditDidNotFire.
        """
        tokens, known = self.tokens(tokens)
        real = known if real is None else real.to(self.device)
        self._check_lengths(tokens, real, 0 if past is None else int(past.get_seq_length()))
        if not bool(real.all()):
            self.body.require("padding")
            self._check_padding(tokens, real)
        if prompt is not None and not 1 <= prompt <= tokens.shape[1]:
            raise ValueError(f"prompt={prompt} of {tokens.shape[1]} columns: give 1 to all of them, or None for all")
        if base is not None:
            self.body.require("resume")
        if past is not None:
            self.body.check_causal("a run with a past")
            self.body.require("cache")
            if not bool(real.all()):
                raise ValueError("a past goes with prompts of one length; give rows without padding")
        if logits is not None and logits < 0:
            raise ValueError(f"logits={logits}: give of how many last positions, or None for all")
        sites = frozenset(self.body.site(s) for s in read)
        if leaves:
            sites |= {s for d in self.dictionaries.values() for s in (d.reads, d.writes)}
        trace = Trace(tokens, real, dictionaries=self.dictionaries)
        visitors = Visitors(
            self.body,
            self.dictionaries,
            trace,
            (*self.activation_edits, *self._checked(edits)),
            sites,
            grad=grad,
            leaves=leaves,
            stop=logits == 0,
            frozen=frozen,
            prompt=tokens.shape[1] if prompt is None else prompt,
        )
        return forward(visitors, keep=logits, base=base, record=record, past=past)

    def _check_padding(self, tokens: Tensor, real: Tensor) -> None:
        """Raises: ValueError for padding on the side where it would be taken for a part of the prompt."""
        if self.body.inputs.parted:
            real = real[:, self.body.columns(tokens, ENCODER)]
        if self.body.inputs.parted or not self.body.layout.causal:
            if bool((~real[:, :-1] & real[:, 1:]).any()) or not bool(real[:, 0].all()):
                raise ValueError(f"padding must be on the right: {self.name} counts positions from the first on")
        elif bool((real[:, :-1] & ~real[:, 1:]).any()) or not bool(real[:, -1].all()):
            raise ValueError("padding must be on the left: the answer is read at the last position of every prompt")

    @door()
    def show(self, prompts: Prompts | None = None, **tensors: Tensor) -> list[tuple[int, ...]]:
        """Prompts, as ids, for what is no text: pictures or recordings alone, or with texts that have places for them.

        Each id of the vocabulary is a token; one beyond it stands for what was shown, at one position. It is a hash of that,
        so these prompts go wherever token ids go, behaviours and files too, and mean the same in a later session once the
        model has been shown the same again.

        Args:
            prompts: texts or token ids with the model's own token for a picture in as many places as the picture takes, as
                its processor writes them; none for a model that takes pictures alone.
            tensors: by the names under which the module takes them, such as `pixel_values`, [prompt, ...]; all of one
                prompt where there is one.

        Raises: ValueError for a name that the module does not take, values that are not finite, or a prompt without a place.

        >>> rows = sighted.show(pixel_values=torch.ones(1, 3, 16, 16))  # or what the model's image processor gives
        >>> sighted.run(rows, read=["resid.0"])["resid.0"].shape  # a class token and sixteen patches
        torch.Size([1, 17, 32])
        """
        if prompts is None:
            return self.body.inputs.show(tensors)
        given = cast("list[Any]", prompts.tolist() if isinstance(prompts, Tensor) else listed(prompts))
        return self.body.inputs.show(tensors, rows_of(self, given))

    @door()
    def generate(self, prompts: Prompts, *, max_new_tokens: int | None = None, **options: Any) -> Generation:
        """Continue prompts, with the model's edits in force at every step, with or without a cache.

        Greedy by default: each token is the one of largest logit. Of the generation config that came with the weights only
        the tokens that end a text are heeded.

        Args:
            prompts: as `tokens` takes them.
            max_new_tokens: how many tokens to write at most; 20 by default.
            options: as for transformers' `generate` (`do_sample`, `use_cache`, `repetition_penalty`, ...); obeyed as given.

        Raises: EditDidNotFire; ValueError for options that contradict each other, or for more than the model is made for.

        >>> print(model.generate("The capital of France is", max_new_tokens=1))
        The capital of France is Paris
        """
        self.body.check_causal("generate")
        tokens, real = self.tokens(prompts)
        new, settings = decoding(tokens.shape[1], max_new_tokens, options)
        self._check_lengths(tokens, real, new)
        if not bool(real.all()):
            self.body.require("padding")
        if settings["use_cache"]:
            self.body.require("cache")
        trace = Trace(tokens, real, dictionaries=self.dictionaries)
        visitors = Visitors(self.body, self.dictionaries, trace, self.activation_edits, prompt=tokens.shape[1])
        pad = {"pad_token_id": self._pad_token()}
        asked = real[:, self.body.columns(tokens, ENCODER)] if self.body.inputs.parted else real

        def write(held: Held) -> Any:
            held.put(self.body.module, "generation_config", bare_config(self.body.module))
            held.hook(self.body.module, _follow(visitors), before=True, kwargs=True)
            visitors.enter(held)
            return cast("Any", self.body.module).generate(
                **self.body.inputs.of(tokens), attention_mask=asked.long(), max_new_tokens=new, **pad | settings
            )

        written = in_state(self.body.module, write)
        written = getattr(written, "sequences", written)
        check_receipts(trace)
        rows = zip(written, real[:, self.body.columns(tokens)], strict=True)
        texts = [str(self.tokenizer.decode(row[len(r) - int(r.sum()) :], skip_special_tokens=True)) for row, r in rows]
        return Generation(tuple(texts), written, trace.receipts)

    def _check_lengths(self, tokens: Tensor, real: Tensor, more: int) -> None:
        for stack in self.body.stacks:
            own = real[:, self.body.columns(tokens, stack)]
            check_lengths(own.sum(1) + (0 if stack else more), self.body.context, self.name)

    def _pad_token(self) -> int:
        known: list[Any] = [self.tokenizer.pad_token_id, self.tokenizer.eos_token_id]
        return next((int(token) for token in known if token is not None), 0)


def _follow(visitors: Visitors) -> Any:
    """A pre-hook that tells the visitors which columns a call of `generate` computes."""

    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        parted, cache = visitors.body.inputs.parted, kwargs.get("past_key_values")
        ids = kwargs["decoder_input_ids" if parted else "input_ids"]
        visitors.offset = 0 if cache is None else int(cache.get_seq_length())
        trace = visitors.trace
        known = visitors.body.columns(trace.tokens).start + visitors.offset
        trace.tokens = torch.cat([trace.tokens[:, :known], ids], dim=1)
        new = trace.tokens.shape[1] - trace.real.shape[1]
        trace.real = torch.cat([trace.real, trace.real.new_ones(len(ids), new)], dim=1) if new > 0 else trace.real

    return hook

"""A contrast: what each site of the view holds on the clean prompts, and what it would hold otherwise.

The other state is that of the patch prompts, of other examples (resample), a mean, or zero. Both
states are (code, error) pairs; between them lie the effects of attribution and the ablations of
measures.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.circuits.circuit import ANYWHERE, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.dictionaries import Dictionary
from clew.dictionaries.sparse import Sparse, encode, is_wide, write
from clew.models import Model, Trace
from clew.models.graph.components import Components
from clew.models.standing import changes, standing
from clew.models.tokens import in_words
from clew.models.trace import as_read
from clew.progress import Loops, Tell
from clew.readings.means import Means
from clew.scale.budget import at_once
from clew.sites import Site

Baseline = Literal["patch", "zero", "mean", "resample"]
EMBED = Site("embed")


@dataclass(frozen=True)
class State:
    """One site of the view on one batch: value = decode(code) + error."""

    code: Float[Tensor, "... seq code"]
    error: Float[Tensor, "... seq d_out"]

    def value(self, dictionary: Dictionary) -> Float[Tensor, "... seq d_out"]:
        """What flows at the site in this state."""
        return dictionary.decode(self.code) + self.error


@dataclass(frozen=True)
class Fires:
    """The same of a site with a wide dictionary; tokens of `code` are those of the batch, row by row."""

    code: Sparse
    """[token, unit]"""
    error: Float[Tensor, "batch seq d_out"]


def batch_tokens(model: Model) -> int:
    """How many tokens may run at once so that the widest dictionary's codes stay within the budget.

    Raises: ValueError for a view without dictionaries, which has no units.
    """
    if not model.dictionaries:
        raise ValueError(
            f"this view of {model.name} is through no dictionaries, so it has no units; give some to model.through(...), or "
            "take model.neurons(), model.heads() or model.components()"
        )
    return at_once(max(d.n_units for d in model.dictionaries.values()))


def edge_tokens(graph: Components) -> int:
    """How many tokens may run at once so that what sources write and readers get stays within the budget."""
    ends = len(graph.sources) + len(graph.readers)
    return at_once(ends * graph.body.widths[graph.sources[0][0]])


def check_fits(model: Model, circuit: Circuit, lengths: Iterable[int]) -> None:
    """Raises: ValueError when a circuit has nodes that this view, or prompts of these lengths, do not have, or no run."""
    circuit.kind.check_ablatable()
    check_view(model, circuit)
    lengths = set(lengths)
    found = circuit.kind.length
    last = int(circuit.position.max(initial=ANYWHERE))
    if last != ANYWHERE and (len(lengths) > 1 or found not in (None, *lengths) or last >= min(lengths)):
        raise ValueError(
            f"the circuit has positions of prompts of {found or 'one length of'} tokens, up to {last}, but these have "
            f"{' or '.join(map(str, sorted(lengths)))}; "
            "keep that length with behaviour.of_length(model, ...), or find a circuit with positions=False"
        )


def check_view(model: Model, circuit: Circuit) -> None:
    """Raises: ValueError when a circuit has nodes that this view does not have."""
    for site in {circuit.sites[i] for i in circuit.site}:
        dictionary = model.dictionaries.get(site)
        made = circuit.provenance.get("dictionaries", {}).get(str(site))
        if (
            dictionary is None
            or dictionary.n_units != circuit.units[site]
            or made not in (None, model.fingerprints[str(site)])
        ):
            seen = "is not seen there" if dictionary is None else "is seen there through another dictionary"
            raise ValueError(
                f"the circuit has nodes at {site}, where {circuit.units[site]} units stood, but the model {seen}; open it "
                "through the dictionaries in which the circuit was found"
            )


def read_sites(model: Model) -> list[Site]:
    """Every site that the dictionaries of the view read or write, in forward order."""
    return sorted({s for d in model.dictionaries.values() for s in (d.reads, d.writes)})


def state(trace: Trace, site: Site) -> State:
    """The state of one site in a trace."""
    dictionary = trace.dictionaries[site]
    code = trace.code(site).detach()
    error = trace[site].detach().to(code.dtype) - dictionary.decode(code)
    wide = torch.promote_types(code.dtype, torch.float32)  # sums over many prompts follow
    return State(code.to(wide), error.to(wide))


def fires(trace: Trace, site: Site) -> Fires:
    """The state of one site in a trace through a wide dictionary, in which no [token, unit] stands."""
    dictionary = trace.dictionaries[site]
    assert is_wide(dictionary)
    code = encode(dictionary, as_read(trace[dictionary.reads].detach(), dictionary).flatten(0, 1))
    value = as_read(trace[site].detach(), dictionary)
    return Fires(code, value - (write(dictionary, code) + dictionary.b_dec).view_as(value))


def resampled(batch: Batch, seed: int) -> Int[Tensor, "batch seq"]:
    """Each prompt replaced by another pair's (its patch prompt where there is one), by a cyclic shift.

    The other is drawn among all different prompts of that length, however they are batched, and is never the clean prompt
    itself, for which the next one stands in.
    Raises: ValueError for a prompt without another of its length.
    """
    n = 0 if batch.peers is None else len(batch.peers)
    generator = torch.Generator().manual_seed(seed + batch.first)
    shift = int(torch.randint(1, n, (), generator=generator)) if n > 1 else 1
    return torch.stack(
        [_other_than(row, place, shift, batch) for row, place in zip(batch.clean, batch.place, strict=True)]
    )


def _other_than(clean: Int[Tensor, " seq"], place: int, shift: int, batch: Batch) -> Int[Tensor, " seq"]:
    """The peer so many places before this one, or the first one further on that is not the clean prompt."""
    n = 0 if batch.peers is None else len(batch.peers)
    for further in range(n - 1):
        assert batch.peers is not None
        other = batch.peers[(place - 1 - (shift - 1 + further) % (n - 1)) % n]
        if not torch.equal(other, clean):
            return other
    raise ValueError(
        f"there is no other prompt of {len(clean)} tokens to resample from (copies are one); keep one length with "
        "behaviour.of_length(model), or give more prompts"
    )


def zero_state(like: State) -> State:
    """Nothing active and nothing unexplained."""
    return State(torch.zeros_like(like.code), torch.zeros_like(like.error))


def nothing_fires(like: Fires) -> Fires:
    """The same where the dictionary is wide."""
    code = like.code
    return Fires(Sparse(code.key[:0], code.value[:0], code.rows, code.units), torch.zeros_like(like.error))


def found_with(circuit: Circuit) -> Baseline | None:
    """What its parts would have been otherwise when a circuit was found; None where its record does not say."""
    made = circuit.provenance
    return made.get("baseline") or made.get("options", {}).get("baseline")


def input_baseline(behaviour: Behaviour, baseline: Baseline | None) -> Baseline:
    """The other end of a path of embeddings: the patch prompts' by default or, where there are none, the mean embedding.

    Raises: ValueError for zero, which is no embedding: a norm divides by its length, and gradients there mean nothing.
    """
    if baseline == "zero":
        raise ValueError(
            "a path of embeddings cannot end at zero, where norms divide by nothing; choose baseline='patch', 'mean' or "
            "'resample', or a method that moves no embeddings, such as attribution_patching or eap"
        )
    return baseline or ("patch" if behaviour.baseline == "patch" else "mean")


class Contrast:
    """Gives, batch by batch, the clean trace and the other state of each site."""

    def __init__(
        self,
        model: Model,
        behaviour: Behaviour,
        baseline: Baseline | None = None,
        *,
        seed: int = 0,
        progress: Tell | None = None,
    ) -> None:
        has_patches = all(p.patch is not None for p in behaviour.pairs)
        self.baseline: Baseline = baseline or ("patch" if has_patches else "zero")
        if self.baseline not in ("patch", "zero", "mean", "resample"):
            raise ValueError(f"{self.baseline!r} is no baseline; choose patch, zero, mean or resample")
        if self.baseline == "patch" and not has_patches:
            raise ValueError(
                f"{behaviour.name} has prompts without a patch; choose baseline='zero', 'mean' or 'resample'"
            )
        self.model, self.behaviour, self.seed, self.loops = model, behaviour, seed, Loops(progress)
        self.sites = read_sites(model)
        self.batches = list(behaviour.batches(model, tokens=batch_tokens(model)))
        self.mean = mean_states(model, behaviour, of="clean") if self.baseline == "mean" else None

    @cached_property
    def key(self) -> tuple[Hashable, ...]:
        """What the states of a pair, and gradients there, depend on beside it: the model, the metric, the other state."""
        alone = self.baseline in ("patch", "zero")
        whole = (self.seed, self.behaviour.aligned, self.behaviour.hash) if not alone else ()
        metric = self.behaviour.metric
        units = self.baseline in ("mean", "zero")
        return (standing(self.model, units=units), metric, *changes(metric), self.baseline, *whole)

    def keeps_positions(self, positions: bool | None) -> bool:
        """Whether nodes are told apart by position: only where a position means the same in every prompt.

        Raises: ValueError when positions are asked for and the prompts differ in length.
        """
        lengths = sorted({b.clean.shape[1] for b in self.batches})
        if positions and len(lengths) > 1:
            raise ValueError(
                f"{self.behaviour.name} has prompts of {lengths} tokens, so a position does not mean the same in all of "
                "them; keep one length with behaviour.of_length(model), or pass positions=False to sum over positions"
            )
        return (self.behaviour.aligned and len(lengths) == 1) if positions is None else positions

    def words(self) -> list[str]:
        """The tokens of the first prompt: what stands at each position, for the details of a circuit."""
        prompt, model = self.behaviour.pairs[0].clean, self.model
        if not in_words(prompt):
            return [str(i) for i in prompt]
        return [str(model.tokenizer.decode([i])) for i in model.tokens(prompt)[0][0].tolist()]

    def other(self, batch: Batch) -> Trace | None:
        """The run whose states are the other states; None for zero and mean, which need no run."""
        if self.baseline == "patch":
            assert batch.patch is not None
            return self.model.run(batch.patch, read=self.sites, logits=0)
        if self.baseline == "resample":
            return self.model.run(resampled(batch, self.seed), read=self.sites, logits=0)
        return None

    def embeddings(self, batch: Batch, other: Trace | None) -> Float[Tensor, "batch seq d_model"]:
        """The other end of a path of embeddings. Args: other: the run that has it; None for their mean."""
        tokens = batch.clean if other is None else other.tokens
        found = self.model.run(tokens, read=[EMBED], logits=0)[EMBED]
        return found if other is not None else self._mean_embedding.at("embed", tokens).to(found).expand_as(found)

    @cached_property
    def _mean_embedding(self) -> Means[str]:
        read = ((b.clean, {"embed": self.model.run(b.clean, read=[EMBED], logits=0)[EMBED]}) for b in self.batches)
        return Means.of(self.model, self.behaviour, read)

    def states(self, clean: Trace, other: Trace | None, site: Site) -> tuple[State, State]:
        """(clean, other) of one site, one at a time so that one site's codes are in memory at once."""
        here = state(clean, site)
        if other is not None:
            return here, state(other, site)
        if self.mean is None:
            return here, zero_state(here)
        mean = self.mean(site, clean.tokens)
        return here, State(mean.code.expand_as(here.code), mean.error.expand_as(here.error))

    def fires(self, clean: Trace, other: Trace | None, site: Site) -> tuple[Fires, Fires]:
        """The same of a site with a wide dictionary, where the other state is no mean."""
        here = fires(clean, site)
        return here, nothing_fires(here) if other is None else fires(other, site)

    def picked(
        self, clean: Trace, other: Trace | None, site: Site, unit: Int[Tensor, " picked"]
    ) -> tuple[Sparse, State, State]:
        """Of a site with a wide dictionary what fires on the clean prompts, and both states at some of its units."""
        shape = (*clean.tokens.shape, len(unit))
        if self.mean is None:
            here, there = self.fires(clean, other, site)
            code, error = there.code.columns(unit).view(shape), there.error
        else:
            here, places = fires(clean, site), self.mean.means.places(clean.tokens)
            code = self.mean.by_place(site, clean.tokens).columns(unit)[places]
            error = self.mean.error(site, clean.tokens).expand_as(here.error)
        return here.code, State(here.code.columns(unit).view(shape), here.error), State(code, error)

    def end(self, clean: Trace, other: Trace | None, site: Site) -> Float[Tensor, "batch seq d_out"]:
        """The value of a site in its other state."""
        if other is not None:
            return other[site]
        value = clean[site].detach()
        dictionary = clean.dictionaries[site]
        if self.mean is not None:
            return self.mean.value(site, clean.tokens).expand_as(value)
        if is_wide(dictionary):
            return dictionary.b_dec.expand_as(value)
        return self.states(clean, None, site)[1].value(dictionary)


class MeanStates:
    """The mean state of every site over prompts, at each place of theirs: see `Means`."""

    def __init__(self, dictionaries: Mapping[Site, Dictionary], means: Means[tuple[Site, str]]) -> None:
        self.dictionaries, self.means = dictionaries, means

    def __call__(self, site: Site, tokens: Int[Tensor, "row seq"]) -> State:
        """The state at a site and at some prompts: code [rows, seq, code], error [rows, seq, d_out]."""
        return State(self.means.at((site, "code"), tokens), self.error(site, tokens))

    def error(self, site: Site, tokens: Int[Tensor, "row seq"]) -> Float[Tensor, "rows seq d_out"]:
        """The error in that state."""
        return self.means.at((site, "error"), tokens)

    def by_place(self, site: Site, tokens: Int[Tensor, "row seq"]) -> Sparse:
        """What is not 0 of the code of a wide dictionary at each place of such prompts, [place, unit]."""
        return self.means.by_place((site, "code"), tokens)

    def value(self, site: Site, tokens: Int[Tensor, "row seq"]) -> Float[Tensor, "rows seq d_out"]:
        """What flows in that state."""
        dictionary = self.dictionaries[site]
        if not is_wide(dictionary):
            return self(site, tokens).value(dictionary)
        decoded = write(dictionary, self.by_place(site, tokens)) + dictionary.b_dec
        return decoded[self.means.places(tokens)] + self.error(site, tokens)


def mean_states(model: Model, behaviour: Behaviour, *, of: Literal["clean", "patch"]) -> MeanStates:
    """The mean state of every site over all prompts. Args: of: the prompts; clean ones where there are no others."""

    def held() -> Iterator[tuple[Tensor, dict[tuple[Site, str], Tensor | Sparse]]]:
        for batch in behaviour.batches(model, tokens=batch_tokens(model)):
            tokens = batch.clean if of == "clean" or batch.patch is None else batch.patch
            trace = model.run(tokens, read=read_sites(model), logits=0)
            states = ((site, (fires if is_wide(d) else state)(trace, site)) for site, d in model.dictionaries.items())
            yield (
                tokens,
                {key: x for site, s in states for key, x in (((site, "code"), s.code), ((site, "error"), s.error))},
            )

    return MeanStates(model.dictionaries, Means.of(model, behaviour, held()))

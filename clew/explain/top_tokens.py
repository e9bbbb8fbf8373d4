"""Top tokens: on which tokens of a text a unit fires most, and which tokens it promotes and suppresses.

The first is counted over a text; the second is the direct reading of what the unit writes through the last norm and the
unembedding (nostalgebraist's logit lens, 2020, applied to a direction). Neither is a proof of meaning; they
are what a person looks at first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from clew.circuits.circuit import ERROR, Circuit
from clew.data.text.texts import windows
from clew.dictionaries import Dictionary
from clew.evidence import Given
from clew.models import Model
from clew.models.tokens import bare, by_length, ids_of, in_words, lead_of, text_of, twice
from clew.readings.readout import Readout
from clew.sites import Site, Weight

MOST = 1000
"""The strongest nodes whose units are looked at; what is written about more nobody reads."""
STREAM = ("embed", "attn", "mixer", "mlp", "resid", "expert")
"""Parts that stand in the stream; experts side by side."""
PROJECTED = {"head": "out", "neuron": "down"}
"""Parts that a linear map carries there."""
BATCH = 2048
"""Tokens that are run at once."""
Place = tuple[float, int, int]
"""The size of a code, and where: which window, which position."""
Units = Mapping[Site, Sequence[int]]
Hand = list[tuple[str, float]]
"""Tokens, and what is added to the logit of each."""


def top_tokens(
    model: Model,
    circuit: Circuit,
    texts: Iterable[Given],
    *,
    n: int = 5,
    tokens: int = 20_000,
    context: int = 64,
) -> Circuit:
    """The circuit with `details` of each of its units: `top_tokens`, `examples`, `promotes` and `suppresses`.

    What has many coordinates, such as a head, promotes what it writes at the place where it writes most.

    Args:
        circuit: of units of the model's view, or of components. Of more than 1,000 nodes the strongest are looked at; what
            is at no site of the view (a token, a query, an error) is left as it is.
        texts: in words or in token ids, such as `behaviour.prompts()`; run once, at most `tokens` positions in windows of
            `context`; the first token of a window is left out.
        n: how many tokens are promoted, and suppressed; four times as many places are looked at for tokens, and three for
            examples.

    Returns: the same circuit; details are keyed by address without position, `resid.3/17`. An empty list says that a unit
        fired nowhere or writes nothing that can be read so; `details["read"]` says of how many tokens.
    """
    view = model.components() if circuit.kind.by_edges else model
    units: dict[Site, list[int]] = {}
    for node in circuit.shown(MOST) if circuit.kind.of != "weights" else ():
        if node.unit != ERROR and node.site in view.dictionaries:
            units.setdefault(node.site, []).append(node.unit)
    units = {site: sorted(set(of_site)) for site, of_site in units.items()}
    cut = _cut(model, texts, tokens, context)
    places = _strongest(view, units, cut, n)
    rows = {site: _written(view, site, us, places[site], cut) for site, us in units.items()}
    told: dict[str, dict[str, list[str]]] = {"top_tokens": {}, "examples": {}, "promotes": {}, "suppresses": {}}
    for site, us in units.items():
        hands = moved(view, site, rows[site], n)
        for unit, found, (raised, lowered) in zip(us, places[site], hands, strict=True):
            address, where = f"{site}/{unit}", [(w, p) for v, w, p in found if v > 0]
            told["top_tokens"][address] = list(
                dict.fromkeys(str(model.tokenizer.decode([cut[w][p]])) for w, p in where)
            )
            told["examples"][address] = list(dict.fromkeys(_passage(model, cut[w], p) for w, p in where))[:3]
            told["promotes"][address], told["suppresses"][address] = (
                [token for token, _ in h] for h in (raised, lowered)
            )
    return circuit.with_details(**told, read=sum(map(len, cut)))


def _cut(model: Model, texts: Iterable[Given], tokens: int, context: int) -> list[list[int]]:
    """Windows of two tokens or more, each once."""

    def every() -> Iterator[list[int]]:
        for text in texts:
            if not in_words(text):
                yield ids_of(None, text)[:context]
                continue
            lead = lead_of(model.tokenizer)
            for ids in windows([text_of(model.tokenizer, text)], partial(bare, model.tokenizer), context - len(lead)):
                yield [*lead, *ids[twice(lead, [*lead, *ids]) :]]

    found, total = dict[tuple[int, ...], None](), 0
    for window in every():
        if total >= tokens:
            break
        if len(window) > 1 and tuple(window) not in found:
            found[tuple(window)] = None
            total += len(window) - 1
    return [list(window) for window in found]


def _strongest(model: Model, units: Units, cut: list[list[int]], n: int) -> dict[Site, list[list[Place]]]:
    """For every unit its 4n strongest places, strongest first; a signed unit has two sides."""
    best: dict[Site, Tensor] = {s: torch.zeros(0, len(us)) for s, us in units.items()}
    where: dict[Site, Tensor] = {s: torch.zeros(0, len(us), 2, dtype=torch.long) for s, us in units.items()}
    reads = {r for s in units for r in (model.dictionaries[s].reads, s)}
    for some, tokens in _batches(cut, range(len(cut))) if units else ():
        trace = model.run(tokens, read=reads, logits=0)
        place = torch.cartesian_prod(torch.tensor(some), torch.arange(1, tokens.shape[1]))
        for site, us in units.items():
            dictionary, code = model.dictionaries[site], trace.code(site)
            # A learned unit fires on both of its sides; of a coordinate, all of which are on, the upper one is shown.
            one = dictionary.exact and not _is_wide(dictionary)
            sized = dictionary.fold(code if one else code.abs())
            code = sized[:, 1:, list(us)].flatten(0, 1).float().cpu()
            value = torch.cat([best[site], code])
            spot = torch.cat([where[site], place[:, None, :].expand(-1, len(us), 2)])
            top = value.topk(min(4 * n, len(value)), dim=0)
            best[site], where[site] = top.values, spot.gather(0, top.indices[..., None].expand(-1, -1, 2))
    return {
        s: [
            [(float(v), int(w), int(p)) for v, (w, p) in zip(best[s][:, i], where[s][:, i].tolist(), strict=True)]
            for i in range(len(us))
        ]
        for s, us in units.items()
    }


def _batches(cut: list[list[int]], chosen: Iterable[int]) -> Iterator[tuple[list[int], Tensor]]:
    """Which windows, and their tokens: those of one length together."""
    wanted = list(chosen)
    for length, index in by_length([cut[i] for i in wanted]):
        for some in torch.tensor(index).split(max(1, BATCH // length)):
            ours = [wanted[i] for i in some.tolist()]
            yield ours, torch.tensor([cut[i] for i in ours])


def _is_wide(dictionary: Dictionary) -> bool:
    """Whether a unit has several coordinates, as a head has."""
    return dictionary.unfold(torch.ones(dictionary.n_units)).shape[-1] != dictionary.n_units


def _written(
    model: Model, site: Site, units: Sequence[int], places: list[list[Place]], cut: list[list[int]]
) -> Float[Tensor, "unit d"]:
    """What each unit writes at its site: its row, or of many coordinates what they hold where it is strongest."""
    dictionary = model.dictionaries[site]
    dtype = next((b.dtype for b in dictionary.buffers() if b.is_floating_point()), model.body.dtype)
    own = torch.zeros(len(units), dictionary.n_units, dtype=dtype, device=model.device)
    own[torch.arange(len(units)), torch.tensor(units)] = 1
    own = dictionary.unfold(own)
    if not _is_wide(dictionary):
        return dictionary.write(own)
    held = torch.zeros_like(own)
    first = {i: (w, p) for i, found in enumerate(places) for _, w, p in found[:1]}
    for some, tokens in _batches(cut, sorted({w for w, _ in first.values()})):
        value = model.run(tokens, read=[site], logits=0)[site]
        for i, (w, p) in first.items():
            if w in some:
                held[i] = value[some.index(w), p].to(dtype)
    return dictionary.write(own * held)


def moved(model: Model, site: Site, rows: Float[Tensor, "unit d"], n: int) -> list[tuple[Hand, Hand]]:
    """The tokens whose logits each row raises and lowers most, and by how much where the last norm divides by the row's size.

    Args: rows: what units write at a site, as they stand there.
    Returns: of each row the `n` tokens that it raises, then those that it lowers, the strongest first; none where nothing
        linear carries the site to the stream, or a row is zero.
    """
    if site.part not in (*STREAM, *PROJECTED) or site.stack:
        return [([], []) for _ in rows]
    if name := PROJECTED.get(site.part):
        matrix = model.body.linear(Weight(f"{name}.{site.layer}")).matrix()
        norm, factor = model.body.after(name, site.layer or 0)
        rows = rows.to(matrix) @ matrix.T * factor
        rows = rows if norm is None else rows * norm(torch.ones_like(rows[:1]))
    if site.part == "expert":
        rows = rows.unflatten(-1, (-1, model.body.widths[Site("embed")])).sum(-2)
    readout = Readout.of(model)
    still = readout.lens(torch.zeros_like(rows[:1]))  # what a bias or a shift of the norm raises, whatever is written
    found: list[tuple[Hand, Hand]] = []
    for some in rows.split(max(1, 2**24 // len(readout.unembed))):
        logits = readout.lens(some) - still
        for row, told in zip(some, logits, strict=True):
            k = n if bool(row.any()) else 0
            found.append((_strongest_words(model, told, k), _strongest_words(model, told, k, lowest=True)))
    return found


def _strongest_words(model: Model, logits: Float[Tensor, " token"], n: int, *, lowest: bool = False) -> Hand:
    top = logits.topk(n, largest=not lowest)
    words = [model.told(token) for token in top.indices.tolist()]
    return list(zip(words, top.values.tolist(), strict=True))


def _passage(model: Model, window: list[int], position: int, around: int = 8) -> str:
    """The text around a position, the token itself between « and »."""
    before, here, after = (
        window[max(0, position - around) : position],
        [window[position]],
        window[position + 1 : position + around],
    )
    return f"{model.tokenizer.decode(before)}«{model.tokenizer.decode(here)}»{model.tokenizer.decode(after)}"

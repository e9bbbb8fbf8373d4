"""Top tokens: on which tokens of a text a unit fires most, and which tokens its decoder row promotes.

The first is counted over a text; the second is the direct reading of the row through the last norm and the
unembedding (nostalgebraist's logit lens, 2020, applied to a direction). Neither is a proof of meaning; they
are what a person looks at first.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from clew.circuits.circuit import ERROR, Circuit
from clew.data.text.texts import windows
from clew.models import Model
from clew.models.tokens import by_length, ids_of
from clew.readings.readout import Readout
from clew.sites import Site


def top_tokens(
    model: Model, circuit: Circuit, texts: Iterable[str], *, n: int = 5, tokens: int = 20_000, context: int = 64
) -> Circuit:
    """The circuit with `details["top_tokens"]`, `details["promotes"]` and `details["examples"]` for each of its units.

    Args:
        texts: run once, at most `tokens` positions in windows of `context`; the first token of a window is left out.
        n: how many tokens and examples per unit.

    Returns: the same circuit; details are keyed by address without position, `resid.3/17`.
    """
    units: dict[Site, list[int]] = {}
    for node in circuit:
        if node.unit != ERROR and node.unit not in units.setdefault(node.site, []):
            units[node.site].append(node.unit)
    units = {site: sorted(us) for site, us in units.items() if us}
    cut, total = [], 0
    for window in windows(texts, lambda text: ids_of(model.tokenizer, text), context):
        if total >= tokens:
            break
        if len(window) > 1:
            cut.append(window)
            total += len(window) - 1
    best = _strongest(model, units, cut, n)
    promotes = {site: _promoted(model, site, us, n) for site, us in units.items()}
    top, examples, promoted = {}, {}, {}
    for site, us in units.items():
        for i, unit in enumerate(us):
            places = [(v, w, p) for v, w, p in best[site][i] if v > 0]
            address = f"{site}/{unit}"
            top[address] = list(dict.fromkeys(model.tokenizer.decode([cut[w][p]]) for _, w, p in places))
            examples[address] = [_passage(model, cut[w], p) for _, w, p in places[:3]]
            promoted[address] = promotes[site][i]
    return circuit.with_details(top_tokens=top, examples=examples, promotes=promoted)


def _strongest(
    model: Model, units: dict[Site, list[int]], cut: list[list[int]], n: int
) -> dict[Site, list[list[tuple[float, int, int]]]]:
    """For every unit its 4n strongest (size of the code, window, position), strongest first; a signed unit has two sides."""
    best: dict[Site, Tensor] = {s: torch.zeros(0, len(us)) for s, us in units.items()}
    where: dict[Site, Tensor] = {s: torch.zeros(0, len(us), 2, dtype=torch.long) for s, us in units.items()}
    reads = {r for s in units for r in (model.dictionaries[s].reads, s)}
    for length, index in by_length(cut):
        for some in torch.tensor(index).split(max(1, 2048 // length)):
            trace = model.run(torch.tensor([cut[i] for i in some]), read=reads, logits=0)
            place = torch.cartesian_prod(some, torch.arange(1, length))
            for site, us in units.items():
                dictionary, code = model.dictionaries[site], trace.code(site)
                # A learned unit fires on both of its sides; of a coordinate, all of which are on, the upper one is shown.
                sized = dictionary.fold(code if dictionary.exact else code.abs())
                code = sized[:, 1:, us].flatten(0, 1).float().cpu()
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


def _promoted(model: Model, site: Site, units: list[int], n: int) -> list[list[str]]:
    """The tokens whose logits a unit raises most; empty lists where the site is not written into the stream."""
    dictionary = model.dictionaries[site]
    if site.part not in ("embed", "attn", "mlp", "resid"):
        return [[] for _ in units]
    one = torch.zeros(len(units), dictionary.n_units)
    one[torch.arange(len(units)), torch.tensor(units)] = 1
    dtype = next((b.dtype for b in dictionary.buffers() if b.is_floating_point()), model.body.dtype)
    rows = dictionary.write(dictionary.unfold(one.to(model.device, dtype)))
    logits = Readout.of(model).lens(rows)
    return [[str(model.tokenizer.decode([t])) for t in row] for row in logits.topk(n, dim=-1).indices.tolist()]


def _passage(model: Model, window: list[int], position: int, around: int = 8) -> str:
    """The text around a position, the token itself between « and »."""
    before, here, after = (
        window[max(0, position - around) : position],
        [window[position]],
        window[position + 1 : position + around],
    )
    return f"{model.tokenizer.decode(before)}«{model.tokenizer.decode(here)}»{model.tokenizer.decode(after)}"

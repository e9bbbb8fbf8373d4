"""Crosscoder: one code for several sites.

Sources: Lindsey et al. 2024, Sparse Crosscoders for Cross-Layer Features; Minder et al. 2025 (arXiv:2504.02922).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Learned, threshold_gate
from clew.sites import Site


class Crosscoder(Learned):
    """f = p where p > threshold, else 0; p is read from all `sites` at once, and f is written to all of them.

    x and y are the sites side by side, [..., sum of d], in the order of `sites`; so are the axes of `W_enc`, `W_dec`
    and `b_dec`. `threshold` [] is 0 by default: a rectifier. `reads` is the first site, `writes` the last one written.
    """

    kind = "crosscoder"
    joint = True
    threshold: Tensor

    def __init__(
        self,
        reads: Site | str | None = None,
        writes: Site | str | None = None,
        *,
        sites: Sequence[Site | str],
        widths: Sequence[int],
        scales: Sequence[float] | None = None,
        written: Sequence[Site | str] | None = None,
        threshold: Tensor | None = None,
        **rest: Any,
    ) -> None:
        """Args:
            sites: where it reads, at least two, and their `widths`.
            scales: the typical size of a coordinate at each site, by which `norms` makes sites alike; 1 by default.
            written: those of the sites that it writes; all by default.
            rest: `W_enc`, `b_enc`, `W_dec`, `b_dec`, `centred` as for every learned dictionary.

        Raises: ValueError when sites and shapes do not go together.
        """
        self.sites = tuple(map(Site.parse, sites))
        self.written = self.sites if written is None else tuple(map(Site.parse, written))
        if len(set(self.sites)) < max(2, len(self.sites)) or len(widths) != len(self.sites):
            raise ValueError(
                f"a crosscoder reads at least two sites, each once and with a width; the sites are "
                f"{', '.join(map(str, self.sites))} and the widths {list(widths)}"
            )
        if not self.written or not set(self.written) <= set(self.sites):
            raise ValueError(f"a crosscoder writes some of {', '.join(map(str, self.sites))}, not {written}")
        ends = (self.sites[0], self.written[-1])
        if (Site.parse(reads or ends[0]), Site.parse(writes or ends[1])) != ends:
            raise ValueError(
                f"this crosscoder belongs to {', '.join(map(str, self.sites))}; it cannot be put at {reads} -> {writes}"
            )
        super().__init__(*ends, **rest)
        self.widths = tuple(widths)
        self.scales = (1.0,) * len(self.sites) if scales is None else tuple(scales)
        out = [self.widths[self.sites.index(s)] for s in self.written]
        if sum(self.widths) != self.d_in or sum(out) != self.d_out or len(self.scales) != len(self.sites):
            raise ValueError(
                f"sites of widths {list(self.widths)} with scales {list(self.scales)}, of which {out} are written, do not "
                f"fit W_enc {tuple(self.W_enc.shape)} [d_in, unit] and W_dec {tuple(self.W_dec.shape)} [unit, d_out]"
            )
        self.register_buffer("threshold", self.b_dec.new_zeros(()) if threshold is None else threshold.reshape(()))

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        return threshold_gate(self.preactivation(x).relu(), self.threshold)

    def at(self, site: Site | str) -> Crosscoder:
        """The same code, written to one site: its reconstruction, and its directions as rows of `W_dec`.

        It still reads all sites, for from one alone the code is not known. Raises: ValueError for a site not written.
        """
        site = Site.parse(site)
        if site not in self.written:
            raise ValueError(f"this crosscoder does not write {site}; it writes {', '.join(map(str, self.written))}")
        here = self._blocks()[site]
        # What is taken off x before encoding goes into the bias: the whole of b_dec is no longer there.
        bias = self.W_enc.new_zeros(self.n_units) if self.b_enc is None else self.b_enc
        bias = bias - self.b_dec @ self.W_enc if self.centred else bias
        return Crosscoder(
            sites=self.sites,
            widths=self.widths,
            scales=self.scales,
            written=[site],
            threshold=self.threshold,
            W_enc=self.W_enc,
            b_enc=bias,
            W_dec=self.W_dec[:, here],
            b_dec=self.b_dec[here],
            centred=False,
            **self.meta,
        )

    def norms(self) -> Float[Tensor, "unit site"]:
        """The length of each unit's direction at each site written, over the site's scale.

        Of two sites a and b, ((b - a) / max(a, b) + 1) / 2 is the relative norm difference of model diffing: 0 for a
        unit of a alone, 1/2 for one of both, 1 for one of b alone.
        """
        scales = dict(zip(self.sites, self.scales, strict=True))
        return torch.stack([self.W_dec[:, h].norm(dim=1) / scales[s] for s, h in self._blocks().items()], dim=1)

    def _blocks(self) -> dict[Site, slice]:
        """Which columns of W_dec belong to each site written."""
        widths, found, at = dict(zip(self.sites, self.widths, strict=True)), {}, 0
        for site in self.written:
            found[site] = slice(at, at + widths[site])
            at += widths[site]
        return found

    @property
    def fingerprint(self) -> str:
        """A hash of the kind, all sites and every value of every tensor."""
        names = " ".join(map(str, (*self.sites, "->", *self.written)))
        return hashlib.sha256(f"{super().fingerprint} {names}".encode()).hexdigest()[:16]

    @property
    def settings(self) -> dict[str, Any]:
        sites = {"sites": list(map(str, self.sites)), "written": list(map(str, self.written))}
        return super().settings | sites | {"widths": list(self.widths), "scales": list(self.scales)}

    def extra_repr(self) -> str:
        sites = "+".join(map(str, self.sites))
        to = "" if self.written == self.sites else " -> " + "+".join(map(str, self.written))
        return f"{sites}{to}, {self.n_units} units"

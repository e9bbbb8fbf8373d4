"""An index, opened: the firings of a unit, the units of a token, contexts, what is counted, the nearest, and labels.

Every file is mapped into memory, so a look-up reads what it answers with and nothing else. What it reads is looked at then:
a damaged row is an error that names its file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clew.files import whole
from clew.finder import writing
from clew.firings import Fired, Here
from clew.labels import Label
from clew.near import near
from clew.readings.index._bands import band_of, drawn_from
from clew.readings.index._firings import sampled
from clew.readings.index._plan import PLAN, chunk_path, chunks_kept, missing, ranges, read_plan, shard_path
from clew.readings.index._text import Text, load_words
from clew.readings.index.labels import NAME, LabelFile
from clew.readings.index.neighbours import NEAREST
from clew.readings.index.shards import check_chunk
from clew.readings.index.summary import BINS, QUANTILES, Summary, bin_of
from clew.sites import Site
from clew.tensors import map_tensors

ROW = ("start", "place", "value")
TOLD = {"count": "i8", "histogram": "i4", "quantiles": "f4", "low": "f4", "high": "f4"}
NEAR = {"decoder": ("decoder", "cosine"), "cofiring": ("cofiring", "jaccard")}
"""By what units are near, and the tensors that say which and how."""


@dataclass(frozen=True, eq=False)
class Sample(Fired):
    """Some of them, drawn at random."""

    weight: Float[np.ndarray, " firing"]
    """How many firings each stands for; they add up to all of the unit's."""


@dataclass(frozen=True, eq=False)
class Context:
    """A firing with the window around it."""

    place: int
    value: float
    tokens: Int[np.ndarray, " token"]
    values: Float[np.ndarray, " token"]
    """What the unit fires with at each token; 0 where it does not, nan where that was not kept."""
    at: int
    """Which of the tokens the firing is at."""
    document: int
    vocabulary: Mapping[int, str] = field(repr=False)
    """What ids stand for."""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The tokens in words."""
        return tuple([self.vocabulary.get(token, f"<{token}>") for token in self.tokens.tolist()])

    def __str__(self) -> str:
        before, here, after = self.words[: self.at], self.words[self.at], self.words[self.at + 1 :]
        return f"{''.join(before)}«{here}»{''.join(after)}"


@dataclass(frozen=True, eq=False)
class Band:
    """Firings of a unit between two quantiles of their size."""

    low: float
    high: float
    """The smallest and the largest size in it, of the firings that are known."""
    count: float
    """How many firings it is of; about so many, where it is not exact."""
    exact: bool
    """Whether all firings of the unit are known; otherwise bands are told by the sample of each octave, by its weights."""
    contexts: tuple[Context, ...]


@dataclass(frozen=True, eq=False)
class Stretch(Here):
    """What fires in a run of tokens, token after token."""

    place: Int[np.ndarray, " firing"]


@dataclass(frozen=True, eq=False)
class Index:
    """Where the units of some dictionaries fire in a text; opened by `Index.load`, made by `clew.index`."""

    folder: Path
    about: Mapping[str, Any]
    """How it was made: model, weights, dictionaries, text, and what was kept."""
    text: Text = field(repr=False)
    _shards: dict[tuple[str, int], dict[str, np.ndarray]] = field(default_factory=dict, repr=False)
    _chunks: dict[int, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: str | Path) -> Index:
        """Open what `clew.index` wrote. Raises: ValueError naming the file and what is wrong with it."""
        folder = Path(folder)
        if folder.is_file():
            raise ValueError(f"{folder} is a file, and an index is a folder; clew.index or `clew index` makes one")
        with whole(folder / PLAN, "index"):
            found = cls(folder, read_plan(folder), Text.load(folder))
            found._check_whole()
            return found

    def __repr__(self) -> str:
        sites = ", ".join(map(str, self.sites))
        return f"Index({str(self.folder)!r}: {self.about['positions']} positions of {self.about['model']} at {sites})"

    # What it is of.

    @property
    def sites(self) -> tuple[Site, ...]:
        return tuple(map(Site.parse, self.about["sites"]))

    @property
    def tokens(self) -> Int[np.ndarray, " token"]:
        """The whole text, its documents in a shuffled order; mapped."""
        return self.text.tokens

    @property
    def documents(self) -> Int[np.ndarray, " document_and_one"]:
        """At which token each document begins, and where the last one ends."""
        return self.text.documents

    @property
    def windows(self) -> Int[np.ndarray, " window_and_one"]:
        """At which token each window begins that the model read at once, and where the last one ends."""
        return self.text.windows

    @property
    def tokenizer_name(self) -> str:
        """The model whose tokens these are."""
        return self.about["model"]

    @property
    def provenance(self) -> dict[str, Any]:
        """The hashes of the model, the dictionaries and the text."""
        prints = {site: said["fingerprint"] for site, said in self.about["sites"].items()}
        return {
            "model": self.about["model"],
            "weights": self.about["weights"],
            "dictionaries": prints,
            "text": dict(self.about["policy"]),
        }

    @property
    def fingerprints(self) -> dict[str, str]:
        """By site that of the dictionary whose units these are; none of other people's files, which do not say it."""
        known = self.about["sites"].items() if self.about["weights"] else ()
        return {site: said["fingerprint"] for site, said in known}

    @property
    def words(self) -> Mapping[int, str]:
        """What each token id of the text stands for."""
        return self._words

    @cached_property
    def _words(self) -> dict[int, str]:
        return load_words(self.folder)

    @cached_property
    def labels(self) -> LabelFile:
        """What is said of the units."""
        return LabelFile(self.folder / NAME)

    def search(self, words: str, n: int = 20) -> list[tuple[str, Label]]:
        """(address, label) of labels that hold all of the words, in whatever form, the best first."""
        return self.labels.search(words, n)

    def units(self, site: Site | str) -> int:
        """How many units there are at a site."""
        return self._said(site)["units"]

    # By unit.

    def row(self, site: Site | str, unit: int) -> Fired:
        """The firings of a unit that were kept, the largest size first, equals as they stand in the text.

        Raises: ValueError for a unit that is not there, or a file that is damaged.
        """
        shard, i = self._at(site, unit)
        start, end = shard["start"][i : i + 2].tolist()
        place, value = shard["place"][start:end], shard["value"][start:end].astype(np.float32)
        if len(place) and not (
            place.min() >= 0 and place.max() < len(self.tokens) and np.isfinite(value).all() and _falls(value)
        ):
            raise ValueError(f"the row of {site}/{unit} in {self.folder / str(site)} is damaged; make the index again")
        return Fired(place.astype(np.int64), value)

    def whole(self, site: Site | str, unit: int) -> Fired:
        """The row of a unit of which all firings were kept. Raises: ValueError for any other, as a part is not silence."""
        row, count = self.row(site, unit), int(self._told(site, unit, "count"))
        shown = self.about["keep"] != "all" and self.about["policy"].get("taken from")  # contexts of each unit alone
        if len(row) == count and not shown:
            return row
        of = f"an unknown number of firings (the contexts of {shown})" if shown else f"{count:,} firings"
        more = "make an index of the text with keep='all'"
        if self._said(site)["everywhere"]:
            more = "of units that fire everywhere only what they do can be explained (by='effects')"
        raise ValueError(
            f"{self.folder} keeps {len(row):,} of {of} of {site}/{unit}, so where it is silent is not known; {more}"
        )

    def top(self, site: Site | str, unit: int, n: int = 20) -> list[Context]:
        """The firings of the largest size, each with its window."""
        row = self.row(site, unit)
        return self.contexts(site, unit, Fired(row.place[:n], row.value[:n]), row)

    def sample(self, site: Site | str, unit: int) -> Sample:
        """Firings of all sizes: of each octave on each side of zero the same number, drawn at random, or all that there are.

        The same each time, and the same of a store that keeps all firings and of one that does not.
        """
        row, histogram = self.row(site, unit), self._told(site, unit, "histogram")
        alone = np.zeros(len(row), np.int64)
        kept = sampled(alone, row.place, row.value, self.about["sample"], self.about["seed"])
        place, value = row.place[kept], row.value[kept]
        octave = bin_of(value) // 2
        of = histogram.reshape(-1, 2).sum(1)
        return Sample(place, value, of[octave] / np.bincount(octave, minlength=BINS // 2)[octave])

    def quantiles(self, site: Site | str, unit: int, n: int = 10, each: int = 5) -> list[Band]:
        """Contexts of all strengths: the firings of a unit in bands of equally many, that of the largest sizes first.

        Args: n: how many bands. each: firings drawn from each at random, of a window one; fewer where it has no more.
        Returns: the same bands each time; those that hold nothing, as of a unit that fires less than n times, are left out.
        Raises: ValueError for less than one band.

        >>> found = clew.index(model, sae, text, to="fires")
        >>> strongest, weakest = found.quantiles("resid.2", 0, n=2)
        >>> strongest.low >= weakest.high
        True
        """
        if n < 1 or each < 0:
            raise ValueError(f"n={n} bands with each={each} contexts cannot be; there is at least 1 band, of 0 or more")
        row, count = self.row(site, unit), int(self._told(site, unit, "count"))
        exact = len(row) == count
        some = Sample(row.place, row.value, np.ones(len(row))) if exact else self.sample(site, unit)
        band, found = band_of(some.weight, n), list[Band]()
        for number in np.unique(band).tolist():
            inside = np.flatnonzero(band == number)
            place, size = some.place[inside], np.abs(some.value[inside])
            window = np.searchsorted(self.text.windows, place, side="right")
            picked = inside[drawn_from(place, some.weight[inside], window, each, self.about["seed"] + 1)]
            contexts = self.contexts(site, unit, Fired(some.place[picked], some.value[picked]), row)
            weight = float(some.weight[inside].sum())
            found.append(Band(float(size.min()), float(size.max()), weight, exact, tuple(contexts)))
        return found

    def contexts(self, site: Site | str, unit: int, some: Fired, row: Fired | None = None) -> list[Context]:
        """Some firings of a unit with the windows that the model saw. Args: row: all of them, if they are at hand."""
        row, everywhere = row or self.row(site, unit), self._said(site)["everywhere"]
        by = row.place.argsort()
        places, values = row.place[by], row.value[by]
        window = np.searchsorted(self.text.windows, some.place, side="right") - 1
        starts, ends = self.text.windows[window], self.text.windows[window + 1]
        documents = np.searchsorted(self.documents, some.place, side="right") - 1
        first, last = np.searchsorted(places, starts), np.searchsorted(places, ends)
        words, found = self.words, list[Context]()
        for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            tokens = self.tokens[start:end]
            there = np.full(end - start, np.nan if everywhere else 0, np.float32)
            there[places[first[i] : last[i]] - start] = values[first[i] : last[i]]
            place, value, document = int(some.place[i]), float(some.value[i]), int(documents[i])
            found.append(Context(place, value, tokens, there, place - start, document, words))
        return found

    def summary(self, site: Site | str) -> Summary:
        """What is counted of the units of a site."""
        self._said(site)
        parts = [self._shard(site, first, end) for first, end in self._ranges[str(Site.parse(site))]]
        count, histogram, quantiles, low, high = (np.concatenate([part[name] for part in parts]) for name in TOLD)
        return Summary(count, self.about["positions"], histogram, quantiles, low, high)

    def nearest(self, site: Site | str, unit: int, by: str = "decoder") -> list[tuple[int, float]]:
        """(unit, how near) of the units of the site that write most alike (cosine), or fire together (Jaccard's index).

        Raises: ValueError where that was not worked out: for units that fire everywhere, and of other people's files.
        """
        if by not in NEAR:
            raise ValueError(f"units are near by {' or '.join(NEAR)}; {by!r} is neither")
        shard, i = self._at(site, unit)
        which, how = NEAR[by]
        if by not in self.near_by(site):
            raise ValueError(f"{self.folder} does not say which units of {site} are near by {by}")
        found = zip(shard[which][i].tolist(), shard[how][i].tolist(), strict=True)
        return [(other, alike) for other, alike in found if other >= 0]

    def near_by(self, site: Site | str) -> tuple[str, ...]:
        """By what `nearest` can be asked at a site."""
        shard, _ = self._at(site, 0)
        return tuple(by for by, (which, _) in NEAR.items() if which in shard)

    # By document.

    def at(self, site: Site | str, place: int) -> Stretch:
        """The units that fire at a token. Raises: ValueError where all firings were not kept."""
        return self._between(site, place, place + 1)

    def document(self, site: Site | str, number: int) -> Stretch:
        """The units that fire in a document, token after token."""
        if not 0 <= number < len(self.documents) - 1:
            raise ValueError(f"there is no document {number}; there are {len(self.documents) - 1}, counted from 0")
        return self._between(site, *self.documents[number : number + 2].tolist())

    def _between(self, site: Site | str, first: int, end: int) -> Stretch:
        site, said = str(Site.parse(site)), self._said(site)
        if self.about["keep"] != "all" or said["everywhere"]:
            raise ValueError(
                f"{self.folder} keeps the largest firings of {site} and a sample, not all that fires at a token; "
                "clew.index(..., keep='all') keeps all, of units that do not fire everywhere"
            )
        if not 0 <= first < end <= len(self.tokens):
            raise ValueError(f"there is no token {first} (there are {len(self.tokens)}, counted from 0)")
        places, units, values = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
        begins = self._chunk_starts
        for number in range(int(np.searchsorted(begins, first, side="right")) - 1, int(np.searchsorted(begins, end))):
            chunk, base = self._chunk(number), int(begins[number])
            start = chunk[f"{site}/start"][max(0, first - base) : end - base + 1]
            a, b = int(start[0]), int(start[-1])
            places.append(np.repeat(np.arange(len(start) - 1), np.diff(start)) + max(first, base))
            units.append(chunk[f"{site}/unit"][a:b].astype(np.int64))
            values.append(chunk[f"{site}/value"][a:b].astype(np.float32))
        found = Stretch(np.concatenate(units), np.concatenate(values), np.concatenate(places))
        if len(found.unit) and not (found.unit.max() < said["units"] and np.isfinite(found.value).all()):
            raise ValueError(f"what fires at {site} in {self.folder / 'firings'} is damaged; make the index again")
        return found

    # In other forms.

    def export(self, folder: str | Path, *, format: str, sites: Sequence[Site | str] | None = None) -> Path:
        """Write it as others read it: `delphi`, `neuronpedia` or `parquet`, a file of `clew/readings/index/formats` each."""
        chosen = self.sites if sites is None else tuple(Site.parse(site) for site in sites)
        for site in chosen:
            self._said(site)
        return writing("readings.index.formats", format).write(self, Path(folder), chosen)

    # What files hold.

    def _said(self, site: Site | str) -> Mapping[str, Any]:
        name = str(Site.parse(site))
        if name not in self.about["sites"]:
            raise ValueError(f"{name} is not in {self.folder}; {near(name, list(self.about['sites']))}")
        return self.about["sites"][name]

    def _at(self, site: Site | str, unit: int) -> tuple[dict[str, np.ndarray], int]:
        """The shard that holds a unit, and which of its units that is."""
        name, units = str(Site.parse(site)), self.units(site)
        if not 0 <= unit < units:
            raise ValueError(f"there is no unit {unit} at {name} (it has {units}, counted from 0)")
        first, end = next(pair for pair in self._ranges[name] if pair[0] <= unit < pair[1])
        return self._shard(name, first, end), unit - first

    def _told(self, site: Site | str, unit: int, name: str) -> Any:
        shard, i = self._at(site, unit)
        return shard[name][i]

    @cached_property
    def _ranges(self) -> dict[str, list[tuple[int, int]]]:
        return {site: ranges(self.folder, site) for site in self.about["sites"]}

    @cached_property
    def _chunk_starts(self) -> Int[np.ndarray, " chunk"]:
        """Which token each chunk begins with."""
        sizes = [check_chunk(chunk_path(self.folder, number), self.about) for number in range(self.about["chunks"])]
        if sum(sizes) != len(self.tokens):
            raise ValueError(f"the chunks in {self.folder / 'firings'} hold {sum(sizes)} of {len(self.tokens)} tokens")
        return np.cumsum([0, *sizes[:-1]])

    def _chunk(self, number: int) -> dict[str, np.ndarray]:
        if number not in self._chunks:
            self._chunks[number] = map_tensors(chunk_path(self.folder, number))
        return self._chunks[number]

    def _shard(self, site: Site | str, first: int, end: int) -> dict[str, np.ndarray]:
        key = (str(site), first)
        if key not in self._shards:
            path = shard_path(self.folder, site, first, end)
            self._shards[key] = _checked(map_tensors(path), end - first, self.units(site), str(path))
        return self._shards[key]

    def _check_whole(self) -> None:
        """Raises: ValueError while files are missing, or where they are not of this text."""
        if left := missing(self.folder, self.about):
            raise ValueError(
                f"{self.folder / PLAN} speaks of rows of {', '.join(left)} that are not all there; make the index again with "
                "the same arguments to go on where it stopped"
            )
        if self.about["tokens"] != len(self.tokens) or self.about["positions"] != int(self.text.kept.sum()):
            raise ValueError(
                f"{self.folder / PLAN} speaks of {self.about['tokens']} tokens, of which "
                f"{self.about['positions']} count; the text has others"
            )
        if not all(chunk_path(self.folder, number).exists() for number in range(chunks_kept(self.about))):
            raise ValueError(
                f"{self.folder / PLAN} speaks of {self.about['chunks']} chunks in firings that are not all there"
            )


def _falls(value: Float[np.ndarray, " firing"]) -> bool:
    size = np.abs(value)
    return bool((size[1:] <= size[:-1]).all()) and bool((size > 0).all())


def _checked(shard: dict[str, np.ndarray], n: int, units: int, origin: str) -> dict[str, np.ndarray]:
    """A shard, if it holds what a shard holds. Raises: ValueError naming the file and the tensor."""
    wanted = {"count": (n,), "histogram": (n, BINS), "quantiles": (n, len(QUANTILES)), "low": (n,), "high": (n,)}
    wanted |= {"start": (n + 1,), "place": shard["value"].shape, "value": shard["value"].shape}
    for which, how in NEAR.values():
        wanted |= {which: (n, NEAREST), how: (n, NEAREST)} if which in shard or how in shard else {}
    if odd := sorted({*wanted.items()} ^ {(name, array.shape) for name, array in shard.items()}):
        raise ValueError(
            f"{origin} is no whole shard of an index: {', '.join(name for name, _ in odd)} is not as it was written"
        )
    kinds = {**TOLD, "start": "i8", "decoder": "i4", "cofiring": "i4", "cosine": "f4", "jaccard": "f4"}
    for name, array in shard.items():
        if array.dtype.kind == "f" and (array.itemsize > 4 or (name != "value" and not np.isfinite(array).all())):
            raise ValueError(f"{name} in {origin} is of {array.dtype}, or holds what is no finite number")
        if name in kinds and array.dtype != np.dtype(kinds[name]):
            raise ValueError(f"{name} in {origin} is of {array.dtype}; {np.dtype(kinds[name])} is due there")
    if shard["place"].dtype.kind != "i" or shard["value"].dtype.kind != "f" or shard["value"].ndim != 1:
        raise ValueError(f"{origin} holds places or values that are none")
    start = shard["start"]
    if start[0] != 0 or start[-1] != len(shard["value"]) or (np.diff(start) < 0).any():
        raise ValueError(f"start in {origin} does not go from 0 to the {len(shard['value'])} firings")
    for which, _ in NEAR.values():
        if which in shard and not (shard[which].min(initial=0) >= -1 and shard[which].max(initial=-1) < units):
            raise ValueError(f"{which} in {origin} names units that are not there")
    return shard

"""What delphi says of latents, and how it has scored that: files of JSON beside its cache.

    explanations/<hookpoint>_latent<unit>.txt       a sentence
    scores/<scorer>/<hookpoint>_latent<unit>.txt    a list of examples, each with what was said of it

From the examples of `detection`, `fuzz`, `embedding` and `surprisal` scores are made as ours are; what other scorers write is
left alone. A label does not keep examples, so we write explanations, and the labels with their scores in `labels.json`, which
is read before all else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from clew.files import entries, entry, entry_or, read_any_json, read_json, typed, whole, write_json, write_text
from clew.labels import FORMAT, Label, Labels
from clew.report import Row
from clew.statistics.resampling import auroc, balanced_accuracy, bounds, resampled

LABELS = "labels.json"
NAME = re.compile(r"(.+)_latent(\d+)\.txt", re.ASCII)
CHOICES = {"detection": "detection", "fuzz": "fuzzing"}
"""Scorers that ask of each example whether the latent fires there, and what we call them."""
ORDERS = {"embedding": "embedding", "surprisal": "surprisal"}
"""Scorers that put examples into an order."""


def read(path: Path, sites: Mapping[str, str], units: Mapping[str, int]) -> Labels:
    """What is said of the latents of a folder of results. Args: sites: of hookpoints by their names. units: of sites.

    Raises: ValueError naming the file and what is wrong with it.
    """
    if (path / LABELS).exists():
        with whole(path / LABELS, "file of labels"):
            found = Labels.from_json(read_json(path / LABELS, FORMAT), str(path / LABELS))
            for address in found:
                _check(address, units, path / LABELS)
            return found
    config = read_any_json(path / "run_config.json") if (path / "run_config.json").exists() else {}
    who = entry_or(config, "explainer_model", str, "", origin=str(path / "run_config.json"))
    return Labels(
        {
            address: (Label(text, "prose", tuple(_scores(path, file.name)), ", ".join(filter(None, ("delphi", who)))),)
            for address, file in _files(path / "explanations", sites, units)
            if (text := _explanation(file))
        }
    )


def write(labels: Labels, path: Path, names: Mapping[str, str]) -> None:
    """Write the first explanation of each unit, and all labels. Args: names: of sites, as hookpoints."""
    kept = {address: held for address, held in labels.items() if address.partition("/")[0] in names}
    for address, (first, *_) in kept.items():
        site, _, unit = address.partition("/")
        file = path / "explanations" / f"{names[site]}_latent{unit}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(first.text, ensure_ascii=False))
    if kept:
        write_json(path / LABELS, Labels(kept).to_json())


def _files(folder: Path, sites: Mapping[str, str], units: Mapping[str, int]) -> Iterator[tuple[str, Path]]:
    """(address, file) of the latents of which there are explanations."""
    for file in sorted(folder.glob("*.txt")):
        if (name := NAME.fullmatch(file.name)) is None or name[1] not in sites:
            known = ", ".join(sorted(sites))
            raise ValueError(f"{file} is of no hookpoint of this cache ({known}); one reads layers.3.mlp_latent17.txt")
        address = f"{sites[name[1]]}/{int(name[2])}"
        _check(address, units, file)
        yield address, file


def _check(address: str, units: Mapping[str, int], origin: Path) -> None:
    """Raises: ValueError for what is no unit of these sites."""
    site, slash, unit = address.partition("/")
    if site not in units or not slash or not unit.isdecimal() or int(unit) >= units[site]:
        raise ValueError(f"{origin} speaks of {address!r}, and the cache has no such unit")


def _explanation(file: Path) -> str:
    with whole(file, "explanation of delphi's"):
        return typed(read_any_json(file), str(file), str).strip()


def _scores(path: Path, name: str) -> Iterator[Row]:
    """The scores of an explanation, of all scorers that we know."""
    readers: dict[str, Callable[[list[Any], str, str], Iterator[Row]]] = {
        **dict.fromkeys(CHOICES, _chosen),
        **dict.fromkeys(ORDERS, _ordered),
    }
    for scorer, read_one in readers.items():
        file = path / "scores" / scorer / name
        if file.exists():
            with whole(file, "file of scores of delphi's"):
                yield from read_one(typed(read_any_json(file), str(file), list), scorer, str(file))


def _chosen(held: list[Any], scorer: str, origin: str) -> Iterator[Row]:
    """Balanced accuracy of what was said of examples, and AUROC where it was said how surely; where nothing was, none."""
    rows = [(one, f"{origin}[{i}]") for i, one in enumerate(held)]
    fires = np.array([entry(one, "activating", bool, origin=at) for one, at in rows], bool)
    said = [entry_or(one, "prediction", bool, None, origin=at) for one, at in rows]
    sure = [entry_or(one, "probability", float, None, origin=at, at_least=0, at_most=1) for one, at in rows]
    told, likely = (np.array([value is not None for value in values], bool) for values in (said, sure))
    name = CHOICES[scorer]
    if told.any():
        yield _accuracy(f"{name} accuracy", np.array([value for value in said if value is not None], bool), fires[told])
    if likely.any():
        yield _auroc(f"{name} AUROC", np.array([value for value in sure if value is not None], float), fires[likely])


def _ordered(held: list[Any], scorer: str, origin: str) -> Iterator[Row]:
    """AUROC of how like the explanation a text is, or of how much less it surprises after it."""
    rows = [(one, f"{origin}[{i}]") for i, one in enumerate(held)]
    fires = np.array([entry(one, "distance", float, origin=at) >= 0 for one, at in rows], bool)
    if scorer == "embedding":
        score = [float(entry(one, "similarity", float, origin=at)) for one, at in rows]
    else:
        score = [_mean(one, "no_explanation", at) - _mean(one, "explanation", at) for one, at in rows]
    if rows:
        yield _auroc(f"{ORDERS[scorer]} AUROC", np.array(score, float), fires)


def _mean(one: Any, name: str, origin: str) -> float:
    losses = entries(one, name, float, origin=origin)
    if not losses:
        raise ValueError(f"{origin}: {name} holds no loss")
    return float(np.mean(losses))


def _accuracy(measure: str, said: Bool[np.ndarray, " example"], fires: Bool[np.ndarray, " example"]) -> Row:
    found = bounds(balanced_accuracy(said, fires, resampled(np.arange(len(fires)))))
    return Row(measure, *found, of="all", examples=len(fires))


def _auroc(measure: str, score: Float[np.ndarray, " example"], fires: Bool[np.ndarray, " example"]) -> Row:
    found = bounds(auroc(score, fires, resampled(np.arange(len(fires)))))
    return Row(measure, *found, of="all", examples=len(fires))

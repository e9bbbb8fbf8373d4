"""What units are called: by the pack of the model, if they are its units, and by the indexes and circuits of the folder."""

from __future__ import annotations

from types import SimpleNamespace

from clew.apps._cards import holds, in_words
from clew.apps._desk.answers import LabelShown
from clew.apps._desk.packed import labels_of
from clew.apps._desk.views import View
from clew.circuits.kind import Kind
from clew.data.predicates.predicate import unit_of
from clew.labels import Label, Labels
from clew.sites import Site


def site_and_unit(view: View, address: str) -> tuple[Site, int]:
    """Of a unit of the view, without its position. Raises: ValueError for one that the view has not."""
    site, unit = unit_of(address.partition("@")[0])
    dictionary = view.model.dictionaries.get(site)
    if dictionary is None:
        sites = list(map(str, view.model.dictionaries))
        more = f" and {len(sites) - 8} more" * (len(sites) > 8)
        raise ValueError(f"{address:.80} is at no site of this view, which has {', '.join(sites[:8])}{more}")
    if unit >= dictionary.n_units:
        raise ValueError(f"there is no unit {unit} at {site} (it has {dictionary.n_units}, counted from 0)")
    return site, unit


def words(view: View, address: str) -> str:
    """What an address names in this view: "feature 17 of resid.3", "head 3 of layer 5"."""
    like = SimpleNamespace(kind=Kind(), provenance={"units": view.model.units})  # as much of a circuit as that reads
    return in_words(like, address)


def of_pack(view: View, site: Site) -> Labels:
    """What the pack of the model says of a site, if the view has the pack's own dictionary there."""
    labels = labels_of(view.model.name, str(site))
    made = labels.dictionaries.get(str(site))
    return labels if made is not None and made == view.model.fingerprints.get(str(site)) else Labels()


def shown(label: Label) -> LabelShown:
    """A label and how it was tested."""
    value = label.to_json()
    return LabelShown(label.text, label.kind, value["scores"], holds(label), label.origin)


def called(view: View, address: str, labels: dict[str, Labels]) -> str:
    """The name of a unit, empty where it has none. Args: labels: by site, those that were read so far."""
    site = address.partition("/")[0]
    if site not in labels:
        labels[site] = of_pack(view, Site.parse(site))
    return labels[site].name(address.partition("@")[0])

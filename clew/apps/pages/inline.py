"""A page in a notebook: the interactive view, shut in a frame that reaches neither the notebook nor the network."""

from __future__ import annotations

import html
from dataclasses import dataclass


@dataclass(frozen=True)
class Inline:
    """A page of `clew.apps.pages` below a notebook's cell. Its script runs in a frame of its own origin, with no more rights.

    >>> from clew.apps.pages.circuit import page
    >>> shown = Inline(page(circuit))  # in a notebook the last line of a cell
    >>> 'sandbox="allow-scripts"' in shown._repr_html_()
    True
    """

    page: str
    """The text of one HTML file."""
    height: int = 640
    """In pixels; it is as wide as the notebook."""

    def __repr__(self) -> str:
        return f"Inline(a page of {len(self.page):,} characters, {self.height} pixels high)"

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{self.height}px;border:0"
        return (
            f'<iframe title="clew" sandbox="allow-scripts" style="{style}" srcdoc="{html.escape(self.page)}"></iframe>'
        )

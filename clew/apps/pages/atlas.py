"""An atlas as one HTML file that needs nothing else: a map, a list to search and sort, a card for each behaviour.

Names, contexts and what units are called are other people's text: the frame escapes them, and the script writes them as
text only.
"""

from __future__ import annotations

import html
from collections.abc import Collection

from clew.apps import _front
from clew.apps._browsed import browsed
from clew.apps.pages.frame import document
from clew.studies.atlas.atlas import Atlas

WITHOUT = "This page draws the atlas with a script; allow scripts for this file to see it."


def atlas_page(atlas: Atlas, *, shown: Collection[str] | None = None) -> str:
    """The atlas as the text of one HTML file. What it holds, `browsed` says.

    Args: shown: the sources whose contexts may be shown; all by default.
    Raises: ValueError for a source that it has not.
    """
    data = browsed(atlas, shown=shown)
    body = f'<div id="page"><h1>{html.escape(data["title"])}</h1></div>\n<noscript><p>{WITHOUT}</p></noscript>'
    return document(data["title"], body, style=_front.built("atlas.css"), script=_front.built("atlas.js"), data=data)

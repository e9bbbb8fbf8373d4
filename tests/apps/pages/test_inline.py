"""A page in a notebook: whole, as text of an attribute, in a frame that may run its script and nothing else."""

import html
import re

from clew.apps.pages.circuit import page
from clew.apps.pages.inline import Inline
from tests.apps.pages.test_circuit import HOSTILE, small_circuit


def test_the_frame_holds_the_page_and_gives_it_no_more_than_scripts() -> None:
    whole = page(small_circuit())
    shown = Inline(whole, height=300)._repr_html_()
    (frame,) = re.findall(r"<iframe [^<>]*></iframe>", shown)
    assert frame == shown and "height:300px" in frame
    names = dict(re.findall(r' (\w+)="([^"]*)"', frame))
    assert names["sandbox"] == "allow-scripts" and html.unescape(names["srcdoc"]) == whole
    assert set(names) == {"title", "sandbox", "style", "srcdoc"} and HOSTILE not in shown
    assert len(repr(Inline(whole))) < 100

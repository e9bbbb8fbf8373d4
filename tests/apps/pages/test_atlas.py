"""The page of an atlas: one file that fetches nothing, in which no text becomes markup, and which stays small."""

import gzip
import re

from clew.apps import _front
from clew.apps.pages.atlas import atlas_page
from tests.apps.atlases import HOSTILE, atlas


def test_no_text_of_the_data_can_end_its_block():
    text = atlas_page(atlas(12, model=HOSTILE))
    assert text.count("</script>") == 2 and "<img" not in text  # the data's own and the script's own
    assert "<title>Behaviours of &lt;/script&gt;" in text


def test_nothing_is_fetched():
    built = _front.built("atlas.js") + _front.built("atlas.css")
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import\(|@import|\burl\(", built)
    assert set(re.findall(r"https?://[\w.]+", built)) <= {"http://www.w3.org"}  # namespaces
    assert "default-src 'none'; script-src 'sha256-" in atlas_page(atlas(3))


def test_a_thousand_behaviours_with_long_contexts_take_at_most_five_megabytes():
    assert len(atlas_page(atlas(1000, letters=600)).encode()) <= 5e6


def test_the_script_stays_small():
    assert sum(len(gzip.compress(_front.built(f"atlas.{end}").encode())) for end in ("js", "css")) < 100_000


def test_what_may_not_be_shown_is_not_in_the_file():
    text = atlas_page(atlas(6), shown=["harbour"])
    assert " 1 the " in text and " 0 the " not in text and '"hidden": ["garden"]' in text

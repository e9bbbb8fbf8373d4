"""A real browser, for what is shown there; without one these tests are skipped."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium without a window, a graphics card or a sandbox. One a file: while it runs, no other event loop can."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium to open pages with; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser with")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()

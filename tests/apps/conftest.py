"""A real browser, for what is shown there; without one these tests are skipped."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol


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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A browser is a program of its own on a machine that has others: what it does not show in time is tried once more."""
    if not item.path.name.endswith("_in_chromium.py"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any("TimeoutError" in str(report.longrepr) for report in reports if report.failed):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

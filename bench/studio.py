"""How large is the front end, how smoothly does it move, and what does a server between a person and a model cost?

Run:  python bench/studio.py [size] [pan] [map] [change] [reads] [clients] [--rounds 7]
      (each question by itself or all; 3 minutes on two cores; change needs SmolLM2-135M and its pack, pan Chromium)

size: kilobytes of the bundles, gzipped. pan: frames a second while the drawing of 1,000 nodes and 10,000 edges is dragged for
four seconds in headless Chromium that rasters in software, and when the page first painted. map: the same of an atlas of
3,000 behaviours, and the kilobytes of one of 1,000. change: seconds of the route `/api/change`, over a socket, for a unit
switched off: the next token alone over one plain forward, and eight tokens written before and after over two plain
generations of the same prompt; medians in turn. reads: one client on each route that reads. clients: 50 at once on three of
them; then 20 changes at once, of which few may wait.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import torch
import uvicorn

import clew
from bench._log import log
from clew.apps._desk.desk import USUAL, Desk
from clew.apps._front import built
from clew.apps.pages.atlas import atlas_page
from clew.apps.pages.circuit import page
from clew.apps.studio.app import app_of
from clew.circuits.circuit import OUTPUT, Circuit
from clew.sites import Site
from tests.apps.atlases import atlas

NODES, EDGES, LAYERS, POSITIONS = 1000, 10_000, 12, 16
BEHAVIOURS = 3000
PROMPT, UNIT, WRITTEN = "The keys to the cabinet", "resid.11/954", 8
CLIENTS, EACH, CHANGES = 50, 6, 20


def size(_: argparse.Namespace) -> tuple[list[Any], str]:
    rows = []
    for name in ("page", "atlas", "studio"):
        sizes = [len(gzip.compress(built(f"{name}.{end}").encode(), 9)) / 1000 for end in ("js", "css")]
        rows.append([f"{name}, script and style", "kB gzipped", f"{sum(sizes):.1f}"])
    return rows, "The limit is 100 kB each."


def large() -> Circuit:
    """A circuit of random nodes and edges, as large as a page shows."""
    draw = np.random.default_rng(0)
    sites = tuple(Site("resid", layer) for layer in range(LAYERS))
    site = np.sort(draw.integers(0, LAYERS, NODES))
    ends = np.sort(draw.integers(0, NODES, (2, EDGES)), axis=0)
    target = np.where(site[ends[0]] == site[ends[1]], OUTPUT, ends[1])
    score, weight = (draw.standard_normal(n) * np.exp(draw.standard_normal(n)) for n in (NODES, EDGES))
    position = draw.integers(0, POSITIONS, NODES)
    details = {"tokens": [f" word{i}" for i in range(POSITIONS)]}
    units = dict.fromkeys(sites, NODES)
    columns = (site, np.arange(NODES), position, score, np.zeros(NODES), ends[0], target, weight)
    return Circuit(sites, units, *columns, details=details)


WATCH = """() => { window.ticks = [];
const tick = (t) => { window.ticks.push(t); window.going = requestAnimationFrame(tick); };
window.going = requestAnimationFrame(tick); }"""
STOP = "() => { cancelAnimationFrame(window.going); return window.ticks; }"
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"


def dragged(text: str, link: str, drawn: str, stage: str) -> tuple[np.ndarray, float]:
    """Milliseconds of each frame while what is drawn on the stage is dragged, and when the page first painted."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        file = Path(folder) / "page.html"
        file.write_text(text)
        chromium = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = chromium.new_page(viewport={"width": 1400, "height": 900})
        tab.goto(f"{file.as_uri()}{link}")
        tab.wait_for_selector(drawn)
        painted = tab.evaluate(PAINTED)
        tab.wait_for_timeout(4000)
        box = tab.locator(stage).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        tab.mouse.move(x, y)
        for _ in range(4):
            tab.mouse.wheel(0, -150)
            tab.wait_for_timeout(60)
        tab.wait_for_timeout(3000)
        tab.mouse.down()
        tab.evaluate(WATCH)
        until, k = time.perf_counter() + 4, 0
        while time.perf_counter() < until:
            k += 1
            tab.mouse.move(x + 250 * np.sin(k / 15), y + 120 * np.sin(k / 23))
        gaps = np.diff(tab.evaluate(STOP))
        chromium.close()
    return gaps, painted


def smoothness(what: str, gaps: np.ndarray, painted: float) -> list[list[str]]:
    return [
        [what, "frames a second", f"{1000 / gaps.mean():.1f}"],
        ["", "ms a frame, 95th percentile", f"{np.percentile(gaps, 95):.0f}"],
        ["first paint of that page", "ms", f"{painted:.0f}"],
    ]


def pan(_: argparse.Namespace) -> tuple[list[Any], str]:
    told = dragged(page(large()), f"#n={NODES}&e={EDGES}", ".node", ".stage")
    return smoothness(f"panning {NODES:,} nodes, {EDGES:,} edges", *told), ""


def moved(_: argparse.Namespace) -> tuple[list[Any], str]:
    told = dragged(atlas_page(atlas(BEHAVIOURS)), "", ".behaviours tbody", "canvas")
    kilobytes = len(atlas_page(atlas(1000, letters=600)).encode()) / 1000
    return [
        *smoothness(f"moving the map of {BEHAVIOURS:,} behaviours", *told),
        ["page of an atlas of 1,000 behaviours, contexts of 300 letters", "kB", f"{kilobytes:.0f}"],
    ], "The limits are 60 frames a second and 5,000 kB."


@contextmanager
def served(folder: Path, limits: Any = USUAL) -> Iterator[httpx.Client]:
    """A studio on the folder, at a port of this machine."""
    desk = Desk.at(folder, limits=limits)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # as `clew studio` listens
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app_of(desk, port=port), log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        limit = httpx.Limits(max_connections=2 * CLIENTS)
        base = f"http://127.0.0.1:{port}/api"
        with httpx.Client(base_url=base, headers={"X-Clew": "1"}, timeout=120, limits=limit) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)
        desk.close()


def seen(client: httpx.Client) -> str:
    asked = {"model": "smollm2-135m", "through": ["smollm2-135m"], "layers": [11]}
    return client.post("/views", json=asked).json()["id"]


def asking(view: str, tokens: int) -> dict[str, Any]:
    edits = [{"kind": "zero", "address": UNIT}]
    return {"view": view, "edits": edits, "prompt": PROMPT, "tokens": tokens}


def medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Of each, in turn, in milliseconds; the first round is thrown away."""
    told: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, times in zip(works, told, strict=True):
            start = time.perf_counter()
            work()
            times.append(1000 * (time.perf_counter() - start))
    return [statistics.median(times[1:]) for times in told]


def change(given: argparse.Namespace) -> tuple[list[Any], str]:
    model = clew.open("smollm2-135m")

    def forward() -> None:
        with torch.no_grad():
            model.run(PROMPT, logits=1)

    def twice() -> None:
        for _ in range(2):
            model.generate(PROMPT, max_new_tokens=WRITTEN)

    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as client:
        view = seen(client)

        def asked(tokens: int) -> str:
            return client.post("/change", json=asking(view, tokens)).text

        lines = [json.loads(line) for line in asked(WRITTEN).splitlines()]
        assert lines[-1]["type"] == "done", lines[-1]
        plain, one, plain_two, two = medians(given.rounds, forward, lambda: asked(0), twice, lambda: asked(WRITTEN))
    return [
        ["next token before and after, through the server", "ms", f"{one:.0f}"],
        ["one plain forward", "ms", f"{plain:.0f}"],
        ["", "ratio", f"{one / plain:.2f}"],
        [f"{WRITTEN} tokens before and after, through the server", "ms", f"{two:.0f}"],
        ["two plain generations", "ms", f"{plain_two:.0f}"],
        ["", "ratio", f"{two / plain_two:.2f}"],
    ], "The limit is 1.5; what the unedited model says of the last prompt is kept, else it were two forwards."


def clients(_: argparse.Namespace) -> tuple[list[Any], str]:
    with tempfile.TemporaryDirectory() as folder:
        large().save(Path(folder) / "c.json")
        with served(Path(folder), replace(USUAL, waiting=4)) as client:
            paths = ["/items", "/about", "/runs"] * (EACH // 3)
            client.get("/about")

            def reads(_: int) -> list[tuple[int, float]]:
                return [timed(lambda path=path: client.get(path)) for path in paths]

            start = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as pool:
                told = [one for many in pool.map(reads, range(CLIENTS)) for one in many]
            spent = time.perf_counter() - start
            view = seen(client)
            with ThreadPoolExecutor(CHANGES) as pool:
                many = list(
                    pool.map(lambda _: timed(lambda: client.post("/change", json=asking(view, 2))), range(CHANGES))
                )
    times, codes = [ms for _, ms in told], Counter(code for code, _ in told)
    limit = Counter(code for code, _ in many)
    return [
        [f"{CLIENTS} clients at once, {len(told)} reads", "requests a second", f"{len(told) / spent:.0f}"],
        ["", "ms, median and 95th percentile", f"{np.median(times):.0f}, {np.percentile(times, 95):.0f}"],
        ["", "answers", ", ".join(f"{n} x {code}" for code, n in sorted(codes.items()))],
        [
            f"{CHANGES} changes at once, 4 may wait",
            "answers",
            ", ".join(f"{n} x {c}" for c, n in sorted(limit.items())),
        ],
        ["", "ms, longest", f"{max(ms for _, ms in many):.0f}"],
    ], "429 says that many wait and to ask again."


def reads(given: argparse.Namespace) -> tuple[list[Any], str]:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("c.json", "d.json"):
            large().save(Path(folder) / name)
        with served(Path(folder)) as client:
            unit = f"/unit?view={seen(client)}&address={UNIT}"
            pair = "/circuit/diff?a=c.json&b=d.json"
            routes = ["/items", "/about", "/runs", "/circuit?path=c.json", pair, "/circuit/export?path=c.json", unit]
            times = medians(
                given.rounds, *[lambda route=route: client.get(route).raise_for_status() for route in routes]
            )
    return [[route.partition("?")[0], "ms", f"{ms:.1f}"] for route, ms in zip(routes, times, strict=True)], (
        f"One client, after the first time; the circuits have {NODES:,} nodes and {EDGES:,} edges."
    )


def timed(ask: Callable[[], httpx.Response]) -> tuple[int, float]:
    """Status and milliseconds."""
    start = time.perf_counter()
    return ask().status_code, 1000 * (time.perf_counter() - start)


QUESTIONS = {"size": size, "pan": pan, "map": moved, "change": change, "reads": reads, "clients": clients}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", choices=[[], *QUESTIONS], default=[])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    for name in given.questions or QUESTIONS:
        rows, note = QUESTIONS[name](given)
        log(f"The studio: {name}", [("what", "in", "value"), *map(tuple, rows)], note)

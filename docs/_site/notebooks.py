"""The notebooks as pages: their text and code, and what they showed where they were run (`make gallery`)."""

from __future__ import annotations

import base64
import html
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "docs" / "tutorials"
RUN = ROOT / "build" / "tutorials"
OF_PANDAS = '<table border="1" class="dataframe">'
FRAME = re.compile(r'<iframe title="clew"[^>]*height:(\d+)px[^>]*srcdoc="([^"]*)"></iframe>')


def pages() -> dict[str, str | bytes]:
    """By their place in the site, with pictures and pages that they showed; also each as the source that it is."""
    made = dict[str, str | bytes]()
    for source in sorted(SOURCES.glob("*.py")):
        run = RUN / f"{source.stem}.ipynb"
        book = nbformat.read(run, 4) if run.exists() else jupytext.read(source)
        made |= _page(source.stem, book)
        made[f"tutorials/{source.stem}.ipynb"] = nbformat.writes(_bare(jupytext.read(source)))
    return made


def _page(name: str, book: Any) -> dict[str, str | bytes]:
    said, files = list[str](), dict[str, str | bytes]()
    for cell in book.cells:
        if cell.cell_type == "markdown":
            said.append(cell.source)
            continue
        said.append(f"```python\n{cell.source}\n```")
        for output in cell.get("outputs", ()):
            said += _shown(output, name, files)
    title, rest = said[0].partition("\n")[::2]
    load = f"\n[The notebook]({name}.ipynb) to run yourself.\n"
    return {**files, f"tutorials/{name}.md": "\n\n".join([title, load, rest, *said[1:], ""])}


def _shown(output: Any, name: str, files: dict[str, str | bytes]) -> Iterator[str]:
    """What a cell showed, as Markdown; pictures and pages become files beside it."""
    data = output.get("data", {})
    number = len(files) + 1
    if output.get("name") == "stderr":
        return
    if "image/png" in data:
        files[f"tutorials/{name}-{number}.png"] = base64.b64decode(data["image/png"])
        yield f'<div class="shown"><img src="{name}-{number}.png" alt="What the cell drew"></div>'
    elif frame := FRAME.search(data.get("text/html", "")):
        files[f"tutorials/{name}-{number}.html"] = html.unescape(frame[2])
        yield (
            f'<div class="shown"><iframe title="clew" sandbox="allow-scripts" height="{frame[1]}" loading="lazy" '
            f'src="{name}-{number}.html"></iframe></div>'
        )
    elif data.get("text/html"):
        yield f'<div class="shown">{data["text/html"].replace(OF_PANDAS, "<table>")}</div>'
    elif said := output.get("text") or data.get("text/plain"):
        yield f"``` {{.text .said}}\n{said.rstrip()}\n```"


def _bare(book: Any) -> Any:
    """A notebook that is the same each time: cells are numbered, not named at random."""
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    return book


def run(name: str) -> None:
    """Run one in a folder of its own, and keep it with what it showed."""
    import nbclient

    book, folder = jupytext.read(SOURCES / f"{name}.py"), RUN / name
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    where = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(book, timeout=1800, coalesce_streams=True, resources=where).execute()
    nbformat.write(book, RUN / f"{name}.ipynb")


if __name__ == "__main__":
    for given in sys.argv[1:] or [path.stem for path in sorted(SOURCES.glob("*.py"))]:
        run(given)

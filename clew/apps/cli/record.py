"""clew record: run a text once and keep what flows at some sites, to train dictionaries from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from clew.apps.cli._evidence import named_texts
from clew.apps.cli._groups import Machine, unfolded
from clew.apps.cli._terminal import Flag, Json, Several, aside, say, telling, working


@unfolded
@dataclass(frozen=True)
class Texts:
    """What is read."""

    chat: Flag = False
    """The texts are conversations: rows with messages, put through the model's chat template."""
    field: str | None = None
    """Where a row keeps its text (text) or its messages (messages)."""
    split: str = "train"
    """Of data sets of the hub."""
    shuffle: int | None = None
    """Mix the texts by this seed first; they are then all read, not only as far as needed."""

    def read(self, names: Sequence[str]) -> Any:
        """The texts, or chats, that the user named, one after the other."""
        from clew.data.text.texts import shuffled_texts

        read = chain.from_iterable(named_texts(name, self.chat, self.field, self.split) for name in names)
        return read if self.shuffle is None else shuffled_texts(read, self.shuffle)


@unfolded
@dataclass(frozen=True)
class Cutting:
    """How texts become windows, and which of their tokens are recorded."""

    context: int | None = None
    """Longest window in tokens; 64, of chats 8192."""
    packing: Literal["sentences", "documents", "blocks", "none"] = "sentences"
    """How texts are cut: at sentences, every `context` tokens of a document or of all texts joined, or not at all."""
    bos: bool | None = None
    """Start every window with the beginning-of-text token, or never; as the tokenizer does by default."""
    special: Literal["keep", "drop"] = "keep"
    """Whether special tokens are recorded."""
    roles: Annotated[tuple[str, ...], Several] = ()
    """Of chats, whose tokens to record: special, user, assistant, other."""
    skip: int = 1
    """Leave out this many first positions of a window."""

    def windows(self, texts: Any, tokenizer: Any, limit: int) -> Any:
        """Texts as windows."""
        from clew.data.text.windows import cut

        how: Any = {"packing": self.packing, "bos": self.bos, "special": self.special}
        return cut(texts, tokenizer, context=self.context or 64, skip=self.skip, limit=limit, **how)

    def chats(self, chats: Any, tokenizer: Any, limit: int) -> Any:
        """Chats as windows."""
        from clew.data.text import windows

        how: Any = {"roles": self.roles or None, "skip": self.skip}
        return windows.chats(chats, tokenizer, context=self.context or 8192, limit=limit, **how)


@unfolded
@dataclass(frozen=True)
class Running:
    """How the model is run."""

    batch: int = 2048
    """Tokens that run at once; a GPU wants more."""
    run_dtype: str | None = None
    """What the model runs in: float32, float16, bfloat16 or float64."""
    device: str | None = None
    """Where to run: cpu, cuda, cuda:1, mps."""


def record(
    model: str,
    /,
    *texts: str,
    sites: Annotated[tuple[str, ...], Several],
    to: Path,
    tokens: int = 100_000,
    read: Texts = Texts(),
    cutting: Cutting = Cutting(),
    dtype: Literal["float16", "bfloat16", "int8", "float32"] = "float16",
    running: Running = Running(),
    json: Json = False,
) -> None:
    """Record activations of a text; interrupted, the same command goes on where it stopped.

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    texts
        Files or folders (txt, md, jsonl, json, parquet, also as .gz or .xz), `wikipedia` (the leads of 10,000
        articles), or hub:OWNER/NAME, a data set of the hub.
    sites
        What to record, such as resid.3, or resid.* for all layers.
    to
        The folder of the store.
    tokens
        How many positions to record.
    dtype
        On disk; int8 takes half the room of float16.
    """
    if not texts:
        raise ValueError("name a text to record, before --sites: a file, a folder, wikipedia, or hub:OWNER/NAME")
    if cutting.roles and not read.chat:
        raise ValueError("--roles is about conversations; give --chat with it")
    opened = Machine(running.run_dtype, running.device).open(model)
    from clew.readings.store import record as recorded

    chosen, cut = matching(opened, sites), cutting.chats if read.chat else cutting.windows
    with working("reading and cutting the text"):
        windows = cut(read.read(texts), opened.tokenizer, tokens)
    try:
        with telling(f"recording {len(chosen)} sites") as tell:
            store = recorded(opened, windows, sites=chosen, to=to, dtype=dtype, batch=running.batch, progress=tell)
    except KeyboardInterrupt:
        aside(f"what is done stays in {to}; the same command goes on where it stopped")
        raise
    if store.world > 1:
        aside(f"process {store.rank} of {store.world} has recorded its share in {to}")
        return
    value = _summary(store, to, dtype)
    text = f"{len(store):,} positions of {len(value['lost'])} sites in {value['bytes'] / 1e6:,.1f} MB, saved as {to}"
    say(f"{text}\n{dtype} lost at most {max(value['lost'].values()):.1e} of a site's variance", value, json)


def _summary(store: Any, to: Path, dtype: str) -> dict[str, Any]:
    lost = {str(site): share for site, share in store.lost.items()}
    return {
        "store": str(to),
        "sites": list(lost),
        "tokens": len(store),
        "shards": len(store.shards),
        "bytes": sum(path.stat().st_size for path in store.shards),
        "dtype": dtype,
        "lost": lost,
        "policy": dict(store.policy),
    }


def matching(model: Any, patterns: Sequence[str]) -> list[Any]:
    """The sites that addresses and patterns such as resid.* name. Raises: ValueError for one that names none."""
    found = set()
    for pattern in patterns:
        some = [s for s in model.sites() if s.part != "pattern" and fnmatch(str(s), pattern)]
        found |= set(some or [model.body.site(pattern)])  # which says what is wrong with it
    return sorted(found)

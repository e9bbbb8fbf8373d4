"""clew record: run a text once and keep what flows at some sites, to train dictionaries from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from clew.apps.cli._terminal import Flag, Json, Several, aside, bar, open_lens, say, working


def record(
    model: str,
    /,
    *texts: str,
    sites: Annotated[tuple[str, ...], Several],
    to: Path,
    tokens: int = 100_000,
    context: int | None = None,
    packing: Literal["sentences", "documents", "blocks", "none"] = "sentences",
    bos: bool | None = None,
    special: Literal["keep", "drop"] = "keep",
    chat: Flag = False,
    roles: Annotated[tuple[str, ...], Several] = (),
    skip: int = 1,
    field: str | None = None,
    split: str = "train",
    shuffle: int | None = None,
    dtype: Literal["float16", "bfloat16", "int8", "float32"] = "float16",
    batch: int = 2048,
    run_dtype: str | None = None,
    device: str | None = None,
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
    context
        Longest window in tokens; 64, of chats 8192.
    packing
        How texts are cut: at sentences, every `context` tokens of a document or of all texts joined, or not at all.
    bos
        Start every window with the beginning-of-text token, or never; as the tokenizer does by default.
    special
        Whether special tokens are recorded.
    chat
        The texts are conversations: rows with messages, put through the model's chat template.
    roles
        Of chats, whose tokens to record: special, user, assistant, other.
    skip
        Leave out this many first positions of a window.
    field
        Where a row keeps its text (text) or its messages (messages).
    split
        Of data sets of the hub.
    shuffle
        Mix the texts by this seed first; they are then all read, not only as far as needed.
    dtype
        On disk; int8 takes half the room of float16.
    batch
        Tokens that run at once; a GPU wants more.
    run_dtype
        What the model runs in: float32, float16, bfloat16 or float64.
    device
        Where to run: cpu, cuda, cuda:1, mps.
    """
    if not texts:
        raise ValueError("name a text to record, before --sites: a file, a folder, wikipedia, or hub:OWNER/NAME")
    if roles and not chat:
        raise ValueError("--roles is about conversations; give --chat with it")
    opened = open_lens(model, dtype=run_dtype, device=device)
    from clew.data.text.texts import shuffled_texts
    from clew.data.text.windows import chats, cut
    from clew.readings.store import record as recorded

    chosen = matching(opened, sites)
    read = chain.from_iterable(named_texts(name, chat, field, split) for name in texts)
    with working("reading and cutting the text"):
        found: Any = read if shuffle is None else shuffled_texts(read, shuffle)
        if chat:
            how = {"context": context or 8192, "roles": roles or None, "skip": skip, "limit": tokens}
            windows = chats(found, opened.tokenizer, **how)
        else:
            how = {"context": context or 64, "packing": packing, "bos": bos, "special": special, "skip": skip}
            windows = cut(found, opened.tokenizer, **how, limit=tokens)
    try:
        with bar(f"recording {len(chosen)} sites") as tell:
            store = recorded(opened, windows, sites=chosen, to=to, dtype=dtype, batch=batch, progress=tell)
    except KeyboardInterrupt:
        aside(f"what is done stays in {to}; the same command goes on where it stopped")
        raise
    if store.world > 1:
        aside(f"process {store.rank} of {store.world} has recorded its share in {to}")
        return
    lost = {str(site): share for site, share in store.lost.items()}
    size = sum(path.stat().st_size for path in store.shards)
    value = {
        "store": str(to),
        "sites": list(lost),
        "tokens": len(store),
        "shards": len(store.shards),
        "bytes": size,
        "dtype": dtype,
        "lost": lost,
        "policy": dict(store.policy),
    }
    text = f"{len(store):,} positions of {len(lost)} sites in {size / 1e6:,.1f} MB, saved as {to}"
    say(f"{text}\n{dtype} lost at most {max(lost.values()):.1e} of a site's variance", value, json)


def matching(model: Any, patterns: Sequence[str]) -> list[Any]:
    """The sites that addresses and patterns such as resid.* name. Raises: ValueError for one that names none."""
    found = set()
    for pattern in patterns:
        some = [s for s in model.sites() if s.part != "pattern" and fnmatch(str(s), pattern)]
        found |= set(some or [model.body.site(pattern)])  # which says what is wrong with it
    return sorted(found)


def named_texts(name: str, chat: bool = False, field: str | None = None, split: str = "train") -> Iterator[Any]:
    """The texts, or chats, of a file, a folder, `wikipedia`, or hub:OWNER/NAME."""
    from clew.data.text import texts as text

    where = field or ("messages" if chat else "text")
    if name.startswith("hub:"):
        return (text.hub_chats if chat else text.hub_texts)(name.removeprefix("hub:"), split=split, field=where)
    if name == "wikipedia" and not chat and not Path(name).exists():
        return iter(text.wikipedia_leads())
    return (text.stream_chats if chat else text.stream_texts)(name, where)

"""A text, and a dictionary whose units are words: each fires where its word stands, as strongly as is said."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import clew
from clew import Model
from clew.dictionaries import AbsTopK, JumpReLU
from clew.readings.index.index import Index
from tests.models.tiny import WORDS, model_of

TEXTS = [
    "the nurse said that she was not very good . The old king and the red queen said that he was good .",
    "the queen said . the king said that the man was red .",
    "a doctor and a nurse and a king said that the old man was very very good .",
    "the red queen said .",
] * 2
CUTTING: dict[str, Any] = {"context": 8, "packing": "documents"}
CHUNKS: dict[str, Any] = {"chunk": 25, "batch": 24}
"""Of a few tokens, so that there are several."""
KING, QUEEN, VERY = (3 + WORDS.index(word) for word in ("king", "queen", "very"))


@cache
def model() -> Model:
    return model_of()


def words_dictionary(size: Callable[[int], float] = lambda unit: 1.0) -> JumpReLU:
    """Unit i fires with `size(i)` wherever token i stands and nowhere else."""
    table = model().body.module.get_input_embeddings().weight[: 3 + len(WORDS)].double()
    sizes = torch.tensor([size(i) for i in range(len(table))], dtype=torch.float64)
    dual = torch.linalg.pinv(table) * sizes  # [d, unit]: 1 at its own token and 0 at every other
    made = {"W_enc": dual, "b_enc": torch.zeros(len(table)), "W_dec": table, "b_dec": torch.zeros(table.shape[1])}
    return JumpReLU("embed", centred=False, threshold=sizes / 2, **{n: t.detach().double() for n, t in made.items()})


def signed_dictionary(units: int = 40, k: int = 5) -> AbsTopK:
    """Random units that fire on both sides."""
    g = torch.Generator().manual_seed(0)
    w = torch.randn(units, 32, generator=g)
    return AbsTopK("resid.1", centred=False, k=k, W_enc=w.T.contiguous(), W_dec=w, b_enc=None, b_dec=torch.zeros(32))


def windows() -> clew.Windows:
    return clew.cut(TEXTS, model().tokenizer, **CUTTING)


def indexed(folder: Path, *dictionaries: clew.Dictionary, **options: Any) -> Index:
    """The text through these, by default a signed dictionary, in chunks of a few tokens."""
    chosen = dictionaries or (words_dictionary(), signed_dictionary())
    found = clew.index(model(), chosen, windows(), to=folder, **CHUNKS | options)
    assert found is not None
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def directly(index: Index, dictionary: clew.Dictionary) -> tuple[np.ndarray, np.ndarray]:
    """(code, fires) [token, unit] of each token of an index by running each window alone; 0 where it does not count."""
    text, codes = index.text, []
    for start, end in zip(text.windows[:-1].tolist(), text.windows[1:].tolist(), strict=True):
        ids = torch.tensor(index.tokens[start:end].astype(np.int64))[None]
        view = model().through(dictionary)
        with torch.no_grad():
            codes.append(view.run(ids, read={dictionary.reads, dictionary.writes}, logits=0).code(dictionary.writes)[0])
    code = torch.cat(codes)
    fires = dictionary.fires(code) & torch.tensor(text.kept.copy())[:, None]
    return code.numpy() * fires.numpy(), fires.numpy()

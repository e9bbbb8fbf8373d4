"""Finding contexts: where in a text a model is sure of the next token, and right.

What a model is sure of it must have found in the context, so these places show what it can do. Three things make a place say
little: the same two tokens stood there before, so that copying is enough; many places of one document are much alike; and
sureness that comes from further back than is looked at. Each can be asked to be left out.

Source: Marks et al. 2024 (arXiv:2403.19647), section 5, after Michaud et al. 2023 (arXiv:2303.13506). Differs: every context
has one length and is judged once more as it then stands, so that no answer hangs on what was cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.data.text.windows import WindowBatch, Windows
from clew.doors import door
from clew.models import Model
from clew.models.likelihood import log_softmax
from clew.models.tokens import lead_of
from clew.progress import Tell
from clew.readings.likelihood import next_tokens, places, predictions
from clew.studies.atlas.contexts import COUNTED, TOKENS, Contexts, joined
from clew.studies.atlas.options import Each


@door()
def contexts(
    model: Model,
    text: Windows,
    *,
    loss: float = 0.3,
    right: bool = True,
    repeated: bool = False,
    each: Each = "document",
    length: int = 32,
    limit: int | None = None,
    seed: int = 0,
    tokens: int = TOKENS,
    progress: Tell | None = None,
) -> Contexts:
    """The places of a text where a model is sure and right, each with the tokens before it.

    Args:
        text: cut into windows longer than `length`, as by `clew.cut(texts, model.tokenizer, context=length + 16)`.
        loss: keep where -log p(next token) is below this, in nats; 0 for any.
        right: keep where no other token is likelier.
        repeated: keep also where the last token of the context was followed by the same answer earlier in it.
        each: one of each document, drawn by the seed; one of each window; or all.
        length: tokens of a context, with what the tokenizer puts in front.
        limit: stop when this many are found.
        tokens: run at once.

    Returns: Contexts; `counts` says how many were left by each rule.
    Raises: ValueError for windows that are not longer than a context, or a text in which there is no such place.

    >>> windows = clew.cut(["The keys to the cabinet are old ."], model.tokenizer, context=8, packing="documents")
    >>> contexts(model, windows, length=4, loss=0.0, right=False).ids.shape[1]
    4
    """
    search = _Search(model, text, _Rules(loss, right, repeated), each, length, limit, np.random.default_rng(seed))
    if not len(search.fitting(text)):
        raise ValueError(
            f"length={length}, but the longest window has {int(text.lengths.max())} tokens; windows are longer than "
            f"contexts: clew.cut(texts, tokenizer, context={length + 16})"
        )
    windows, done = search.fitting(text).shuffled(seed), 0
    for batch in windows.batches(tokens):
        search.look(batch, windows)
        done += len(batch.index)
        if progress:
            progress(done, len(windows), {"contexts": float(len(search.found))})
        if search.full:
            break
    return joined([search.result()])


def contexts_in(
    model: Model, windows: Sequence[Sequence[int]], documents: Sequence[int], *, bos: bool, seed: int, **rules: Any
) -> Contexts:
    """Those of some windows, which may be none.

    Args: bos: whether windows begin with what the tokenizer puts in front. rules: `loss`, `right`, `repeated`, `each` and
        `length`.
    """
    flat = torch.tensor([token for ids in windows for token in ids], dtype=torch.int32)
    lengths, counted = torch.tensor([len(ids) for ids in windows]), torch.ones(len(flat), dtype=torch.bool)
    text = Windows(flat, lengths, counted, torch.tensor(documents), {"packing": "documents", "bos": bos})
    asked = _Rules(*(rules[name] for name in ("loss", "right", "repeated")))
    search = _Search(model, text, asked, rules["each"], rules["length"], None, np.random.default_rng(seed))
    text = search.fitting(text)
    for batch in text.batches(TOKENS):
        search.look(batch, text)
    return search.result()


@dataclass(frozen=True)
class _Rules:
    """What is asked of a place."""

    loss: float
    right: bool
    repeated: bool

    def __post_init__(self) -> None:
        if not 0 <= self.loss < float("inf"):
            raise ValueError(f"loss={self.loss}: places are kept below a number of nats above 0, or any for 0")

    def sure(self, loss: Float[Tensor, " token"]) -> Bool[Tensor, " token"]:
        return loss < self.loss if self.loss else torch.ones_like(loss, dtype=torch.bool)

    def hit(self, logs: Float[Tensor, "token vocab"], answer: Int[Tensor, " token"]) -> Bool[Tensor, " token"]:
        return (logs.argmax(-1) == answer) | (not self.right)

    def new(self, ids: Int[np.ndarray, " seq"], answer: int) -> bool:
        """Whether what follows the last token is not what followed it before."""
        return self.repeated or not bool(((ids[:-1] == ids[-1]) & (ids[1:] == answer)).any())


class _Search:
    """Goes through batches of windows, and keeps what the rules leave."""

    def __init__(
        self,
        model: Model,
        text: Windows,
        rules: _Rules,
        each: Each,
        length: int,
        limit: int | None,
        rng: np.random.Generator,
    ) -> None:
        self.model, self.rules, self.each, self.length, self.limit, self.rng = model, rules, each, length, limit, rng
        self.lead = lead_of(model.tokenizer)
        self.own = length - len(self.lead)
        """Tokens of a context that are of the text."""
        self.start = len(self.lead) if text.policy.get("bos") else 0
        """Tokens of a window that are not."""
        if each not in get_args(Each):
            raise ValueError(f"each={each!r}; choose {', '.join(get_args(Each))}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit={limit}; give how many contexts to find, or None for all there are")
        if self.own < 2:
            raise ValueError(f"length={length} leaves {self.own} tokens of text to a context; two are the least")
        self.counts: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self.found: list[tuple[np.ndarray, int, float, int]] = []
        self._taken: set[int] = set()

    def fitting(self, text: Windows) -> Windows:
        """The windows that are longer than a context."""
        return text.take((text.lengths > self.own + self.start).nonzero()[:, 0])

    @property
    def full(self) -> bool:
        return self.limit is not None and len(self.found) >= self.limit

    def look(self, batch: WindowBatch, windows: Windows) -> None:
        """Keep what is found in one batch."""
        logs, answer = predictions(self.model, batch), next_tokens(batch).to(self.model.device)
        place = places(batch)
        deep = (place[:, 1] - self.start >= self.own).to(logs.device)
        sure = deep & self.rules.sure(-logs.gather(1, answer[:, None])[:, 0])
        right = sure & self.rules.hit(logs, answer)
        for name, left in (("judged", deep), ("sure", sure), ("right", right)):
            self.counts[name] += int(left.sum())
        chosen = self._chosen(batch, windows, place[right.cpu()].tolist())
        if chosen:
            self._judge(chosen)

    def _chosen(
        self, batch: WindowBatch, windows: Windows, places: Sequence[Sequence[int]]
    ) -> list[tuple[np.ndarray, int, int]]:
        """(ids, answer, document) of the places that the other rules leave."""
        by_window = dict[int, list[tuple[np.ndarray, int]]]()
        for row, column in places:
            window = windows.ids[int(batch.index[row])].numpy()
            ids = np.concatenate([np.array(self.lead, np.int64), window[column - self.own : column].astype(np.int64)])
            if self.rules.new(ids, int(window[column])):
                by_window.setdefault(row, []).append((ids, int(window[column])))
        self.counts["not repeated"] += sum(map(len, by_window.values()))
        chosen = list[tuple[np.ndarray, int, int]]()
        here = set[int]()
        for row, all_here in by_window.items():
            document = int(batch.document[row])
            if self.each == "document" and (document in self._taken or document in here):
                continue
            here.add(document)
            some = all_here if self.each == "all" else [all_here[int(self.rng.integers(len(all_here)))]]
            chosen += [(ids, answer, document) for ids, answer in some]
        self.counts["chosen"] += len(chosen)
        return chosen

    def _judge(self, chosen: Sequence[tuple[np.ndarray, int, int]]) -> None:
        """Keep those that hold where a model sees no more than the context."""
        for first in range(0, len(chosen), max(1, TOKENS // self.length)):
            some = chosen[first : first + max(1, TOKENS // self.length)]
            answer = torch.tensor([one[1] for one in some], device=self.model.device)
            with torch.no_grad():
                run = self.model.run(torch.from_numpy(np.stack([one[0] for one in some])), logits=1)
            assert run.logits is not None
            logs = log_softmax(run.logits[:, -1])
            loss = -logs.gather(1, answer[:, None])[:, 0]
            good = self.rules.sure(loss) & self.rules.hit(logs, answer)
            self.counts["sure in so many tokens"] += int(good.sum())
            for (ids, token, document), value, ok in zip(some, loss.tolist(), good.tolist(), strict=True):
                if ok and not self.full and not (self.each == "document" and document in self._taken):
                    self._taken.add(document)
                    self.found.append((ids, token, value, document))

    def result(self) -> Contexts:
        ids, answer, loss, document = zip(*self.found, strict=True) if self.found else ((), (), (), ())
        return Contexts(
            np.array(ids, np.int64).reshape(len(ids), self.length),
            np.full(len(ids), self.length),
            np.array(answer, np.int64),
            np.array(loss, np.float32),
            np.array(document, np.int64),
            dict(self.counts),
        )

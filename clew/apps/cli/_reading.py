"""What commands share that read much text: which, how it is cut into windows, and how the model is run on it."""

# Annotations are evaluated here, not kept as strings: a group may be extended in another file, which lacks these names.
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal

from clew.apps.cli._evidence import named_texts
from clew.apps.cli._groups import unfolded
from clew.apps.cli._terminal import Flag, Several


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

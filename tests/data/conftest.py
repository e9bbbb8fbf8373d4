from collections.abc import Mapping, Sequence

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Digits, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as Steps
from transformers import PreTrainedTokenizerFast

from clew.models.trace import Trace


class Toy:
    """A word is a token, a digit is a token; after a prompt of `says` its word gets logit 5, all else 0."""

    def __init__(self, words: Sequence[str], says: Mapping[str, str]) -> None:
        vocabulary = {word: i for i, word in enumerate(["?", *sorted(set(words))])}
        inner = Tokenizer(WordLevel(vocabulary, unk_token="?"))
        inner.pre_tokenizer = Steps([WhitespaceSplit(), Digits(individual_digits=True)])
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")
        self.device = torch.device("cpu")
        self.says = {tuple(self.ids(prompt)): self.ids(word)[0] for prompt, word in says.items()}
        self.runs = 0

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text)["input_ids"]

    def run(self, tokens: torch.Tensor, *, logits: int | None = None) -> Trace:
        self.runs += 1
        logits = torch.zeros(len(tokens), 1, len(self.tokenizer))
        for i, row in enumerate(tokens.tolist()):
            if tuple(row) in self.says:
                logits[i, 0, self.says[tuple(row)]] = 5.0
        return Trace(tokens, torch.ones_like(tokens, dtype=torch.bool), logits=logits)


@pytest.fixture
def toy():
    """Builds a toy model from the words of its texts, and what it says after some prompts."""

    def build(*texts: str, says: Mapping[str, str] | None = None) -> Toy:
        said = [t for item in (says or {}).items() for t in item]
        words = " ".join([*texts, *said]).split()
        return Toy([*words, *"0123456789"], says or {})

    return build

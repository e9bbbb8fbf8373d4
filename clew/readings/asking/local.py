"""A model in this process, asked: greedily, through its chat template or, where it has none, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from clew.models import Model
from clew.models.likelihood import likelihoods, log_softmax
from clew.models.tokens import as_text, ids_of
from clew.readings.asking.answer import Answer, Continuation, Question, Token

LEAST = -1e4
"""What stands for log p of what is impossible, which JSON cannot hold."""


@dataclass(frozen=True)
class Local:
    """One that answers by a model that is held.

    >>> round(Local(model).judge(Continuation("The capital of France is", " Paris")).log_p, 2)
    -0.03
    """

    model: Model
    width: int = 1

    def __post_init__(self) -> None:
        if self.model.edits:
            raise ValueError(
                "the model that is asked has edits in force; give model.unedited(), or export it and open that"
            )

    @property
    def name(self) -> str:
        """That of the model."""
        return self.model.name

    @property
    def identity(self) -> str:
        """Digests of its weights and its settings, and its template."""
        body, template = self.model.body, self.model.tokenizer.chat_template
        return f"{self.name} {body.fingerprint} {body.config_hash} {body.dtype} {template or ''}"

    def chat(self, question: Question) -> Answer:
        """Raises: ValueError for a question that is longer than the model's context."""
        asked = ids_of(self.model.tokenizer, self._prompt(question))
        made = self.model.generate([asked], max_new_tokens=question.max_tokens)
        ids = made.tokens[0, len(asked) :].tolist()
        end = next((i for i, token in enumerate(ids) if token in self._ends()), len(ids))
        text = str(self.model.tokenizer.decode(ids[:end], skip_special_tokens=True))
        tokens = self._tokens(asked, ids[:end], question.top) if question.top else None
        return Answer(text, tokens, len(asked), len(ids))

    def judge(self, question: Continuation) -> Answer:
        """Prompt and text are cut into tokens apart, so that a text is judged by the same tokens after every prompt."""
        tokenizer = self.model.tokenizer
        asked, said = ids_of(tokenizer, question.prompt), tokenizer.encode(question.text, add_special_tokens=False)
        (found,) = likelihoods(self.model, [(asked, said)])
        words = [str(tokenizer.decode([i])) for i in said]
        tokens = tuple(Token(word, max(LEAST, p)) for word, p in zip(words, found.log_p, strict=True))
        return Answer(question.text, tokens, len(asked) + len(said))

    def _ends(self) -> list[Any]:
        """The tokens that end a text."""
        settings: Any = self.model.body.module.generation_config
        ends = settings.eos_token_id
        return [self.model.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])]

    def _prompt(self, question: Question) -> str:
        tokenizer = self.model.tokenizer
        if tokenizer.chat_template:
            return as_text(tokenizer, question.messages, add_generation_prompt=True)
        return "\n\n".join([*(message.content for message in question.messages), ""])

    def _tokens(self, asked: list[int], ids: list[int], top: int) -> tuple[Token, ...]:
        """The tokens of an answer, by one more run."""
        if not ids:
            return ()
        logits = self.model.run([[*asked, *ids[:-1]]], logits=len(ids)).logits
        assert logits is not None
        rows: Float[Tensor, "token vocab"] = log_softmax(logits[0])
        return tuple(self._token(row, i, top) for row, i in zip(rows, ids, strict=True))

    def _token(self, row: Float[Tensor, " vocab"], i: int, top: int) -> Token:
        log_p, ids = row.topk(min(top, len(row)))
        pairs = zip(ids.tolist(), log_p.tolist(), strict=True)
        likely = tuple((str(self.model.tokenizer.decode([j])), max(LEAST, p)) for j, p in pairs)
        return Token(str(self.model.tokenizer.decode([i])), max(LEAST, float(row[i])), likely)

"""A model whose next token depends on the last one alone, by a table: whatever is measured of it is known by hand."""

from collections.abc import Mapping

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from clew import Add, Behaviour, Model, Pair, Update, Where
from clew.data.behaviours.metrics import logit_difference
from clew.data.text.windows import Windows, cut
from clew.models.architectures.llama import tiny
from clew.models.body import Body
from clew.stack import Stack

WORDS = "<pad> <eos> the capital of France Spain is was in Paris Rome Madrid Oslo big city a b".split()
ID = {word: i for i, word in enumerate(WORDS)}
D = 32


def bigram_model(table: Mapping[str, Mapping[str, float]], seed: int = 0) -> Model:
    """Logits after a word: the table's, and 0 for every other word. float64; the stream holds the word at its own axis."""
    torch.manual_seed(seed)
    module = tiny().double().eval()
    inner = module.model
    with torch.no_grad():
        for layer in inner.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        inner.norm.weight.fill_(1.0)
        inner.norm.variance_epsilon = 0.0
        inner.embed_tokens.weight.zero_()
        inner.embed_tokens.weight[: len(WORDS), : len(WORDS)] = torch.eye(len(WORDS), dtype=torch.float64)
        module.lm_head.weight.zero_()
        for after, row in table.items():
            for word, logit in row.items():
                module.lm_head.weight[ID[word], ID[after]] = logit / D**0.5
        module.lm_head.weight[len(WORDS) :, : len(WORDS)] = -1000.0  # ids without a word
    module.generation_config.eos_token_id, module.generation_config.pad_token_id = 1, 0
    inner_tokenizer = Tokenizer(models.WordLevel(ID, unk_token="<pad>"))
    inner_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner_tokenizer, pad_token="<pad>", eos_token="<eos>")
    return Model(Body(module, tokenizer, "bigrams"))


def says(word: str, after: str, by: float) -> Stack:
    """`word` gets a logit `by` higher after `after`: an update of one entry of W_U."""
    left, right = torch.zeros(97, 1, dtype=torch.float64), torch.zeros(1, D, dtype=torch.float64)
    left[ID[word]], right[0, ID[after]] = by / D**0.5, 1.0
    return Stack((Update("unembed", left=left, right=right),), f"{word} after {after}")


def push(word: str, by: float, where: Where | None = None) -> Stack:
    """`word` gets a logit `by` higher: a vector at `final`, which only W_U reads; W_U must hold the word at its axis 31."""
    vector = torch.zeros(D, dtype=torch.float64)
    vector[31] = by
    return Stack((Add("final", vector=vector, where=where or Where()),), f"push {word}")


def pushable(model: Model, word: str) -> Model:
    """Let axis 31 of the final stream write to this word alone; no word of the vocabulary lives there."""
    with torch.no_grad():
        model.body.module.lm_head.weight[ID[word], 31] = 1.0
    return model


def text(model: Model, *texts: str) -> Windows:
    return cut(texts, model.tokenizer, packing="none", bos=False)


def choice(model: Model, *prompts: str, right: str = "Rome", wrong: str = "Paris") -> Behaviour:
    """Prompts after which one word is asked against another; all of them are both halves."""
    pairs = tuple(Pair(prompt, None, (f" {right}",), (f" {wrong}",)) for prompt in prompts)
    return Behaviour("choice", pairs, logit_difference)

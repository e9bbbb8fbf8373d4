"""A tiny model whose token embeddings are chosen, so that what a dictionary at `embed` sees is known by hand."""

from collections.abc import Mapping, Sequence

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from clew.dictionaries import ReLU
from clew.models import Model
from clew.models.architectures.llama import tiny
from clew.models.body import Body

D = 32


def embedding_model(rows: Mapping[str, Sequence[float]]) -> Model:
    """Each word is a token; its embedding starts with its row and is 0 after it."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", *rows])}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    module = tiny().eval()
    weight = torch.zeros_like(module.get_input_embeddings().weight)
    for i, row in enumerate(rows.values(), 1):
        weight[i, : len(row)] = torch.tensor(row)
    module.get_input_embeddings().weight.data = weight
    return Model(Body(module, PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?"), "embeddings"))


def relu(rows: Sequence[Sequence[float]], d: int = D, encoder: Sequence[Sequence[float]] | None = None) -> ReLU:
    """Units that read the rows of `encoder`, without a bias, and write their own."""
    decoder, reads = torch.zeros(len(rows), d), torch.zeros(d, len(rows))
    for i, (row, read) in enumerate(zip(rows, rows if encoder is None else encoder, strict=True)):
        decoder[i, : len(row)], reads[: len(read), i] = torch.tensor(row), torch.tensor(read)
    return ReLU("embed", W_enc=reads, W_dec=decoder, b_dec=torch.zeros(d), centred=False)

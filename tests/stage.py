"""The names that every example in a docstring may use; docs/extend.md lists them. Made once, in a second.

The model is written by hand, as those of `clew.data.planted` are, but it has a tokenizer of whole words: it knows the
capitals of eight countries, and whether *is* or *are* follows. So an example can rewrite a fact and show that it worked.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

import clew
from clew.data.facts.facts import Fact, Facts
from clew.data.facts.secrets import Secret, Secrets
from clew.data.planted._compile import Draft, Spaces
from clew.data.text.windows import cut
from clew.dictionaries import ReLU
from tests.models.others import other

CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
    "Peru": "Lima",
    "Cuba": "Havana",
    "Kenya": "Nairobi",
}
NOUNS, VERBS = {"key": "keys"}, {"is": "are"}
ASKED = "The capital of {} is"
ORDINARY = (
    "It rained all day and the old boat is sold .",
    "She sold the old keys to a girl and rained blue roses all day .",
    "The girl and the old king are at sea .",
    "A pack of blue roses is old .",
    "Write to Ada at one two three four five .",
    "Write to Bob at five four three two one .",
)


@cache
def names() -> dict[str, Any]:
    """The names and what they stand for; an example gets a copy of this table."""
    model = knowing()
    pairs = (
        clew.Pair("The keys to the cabinet", "The key to the cabinet", " are", " is"),
        clew.Pair("The key to the cabinet", "The keys to the cabinet", " is", " are"),
    )
    task = clew.Behaviour("number", pairs * 2, aligned=True)
    sae = dictionary("resid.2", model.body.widths[model.body.site("resid.2")])
    view = model.through(sae)
    known = tuple(Fact(ASKED, land, "Paris" if land == "Italy" else "Rome", city) for land, city in CAPITALS.items())
    return {
        "clew": clew,
        "torch": torch,
        "sighted": other("vit"),
        "model": model,
        "sae": sae,
        "view": view,
        "task": task,
        "circuit": clew.find(view, task, held_out=False).top(2),
        "facts": Facts("capitals", known),
        "text": cut([*ORDINARY, *(f"{ASKED.format(land)} {city}" for land, city in CAPITALS.items())], model.tokenizer),
        "secrets": Secrets("capitals", tuple(Secret(fact.asked, fact.old) for fact in known[:4])),
        "pipe": pipeline(),
    }


def knowing(nouns: Mapping[str, str] = NOUNS, verbs: Mapping[str, str] = VERBS, more: Iterable[str] = ()) -> clew.Model:
    """The model: an MLP knows the capitals, one head carries them, another carries the number of the subject.

    Args: nouns, verbs: singular to plural; the verb comes four words after its subject. more: lines of other words.
    """
    said = [".", *CAPITALS, *CAPITALS.values(), *nouns, *nouns.values(), *verbs, *verbs.values()]
    lines = [*ORDINARY, "The capital of", "to the cabinet", *more]
    others = dict.fromkeys(word for line in lines for word in line.split())
    words = [*said, *(word for word in others if word not in said)]
    many = len(CAPITALS)
    number = {"noun": len(nouns), "nouns": len(nouns), "singular": len(verbs), "plural": len(verbs)}
    vocabulary = Spaces(stop=1, land=many, city=many, **number, word=len(words) - len(said))
    stream = Spaces(one=1, land=many, city=many, number=1, answer=many, verb=1, word=len(words) - len(said))
    draft = Draft(vocabulary, stream, Spaces(city=many, number=1), layers=4, heads=4, kv_heads=2)
    every = {f"{word} -> one": 1 for word in vocabulary.at}
    draft.embed(every | {"land -> land": 1, "noun -> number": 1, "nouns -> number": -1, "word -> word": 1})
    draft.mlp(1, Spaces(land=many), gate={"land -> land": 8}, up={"land -> land": 1}, down={"land -> city": 0.125})
    draft.shared(2, 0, key={}, value={"city -> city": 1})
    draft.head(2, 0, back=1, position=400, write={"city -> answer": 1})
    draft.shared(3, 0, key={}, value={"number -> number": 1})
    draft.head(3, 0, back=3, position=400, write={"number -> verb": 1})
    draft.unembed({"answer -> city": 8, "verb -> singular": 6, "verb -> plural": -6, "one -> stop": 4})
    module = draft.model("planted capitals").body.module
    return clew.open(module, tokenizer=word_tokenizer(words))


def word_tokenizer(words: list[str], **special: Any) -> PreTrainedTokenizerFast:
    """One token a word; nothing is added to a text."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="."))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token=".", **special)


def dictionary(site: str, d: int) -> ReLU:
    """One unit for each coordinate and sign of the stream, so that it explains everything."""
    rows = torch.cat([torch.eye(d), -torch.eye(d)]).double()
    nothing = {"b_enc": torch.zeros(2 * d).double(), "b_dec": torch.zeros(d).double()}
    return ReLU(site, W_enc=rows.T.contiguous(), W_dec=rows, centred=False, **nothing)


def pipeline() -> SimpleNamespace:
    """What `uce` and its neighbours need of a text-to-image pipeline: a text encoder, and keys and values that read it."""
    words = "a pack of roses blue van gogh monet art the old king President United States".split()
    tokenizer = word_tokenizer(["<bos>", "<end>", *words, "."], bos_token="<bos>", eos_token="<end>", pad_token="<end>")
    tokenizer.model_max_length = 16
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "<bos> $A <end>", special_tokens=[("<bos>", 0), ("<end>", 1)]
    )
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(0)
    encoder = CLIPTextModel(CLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=16, **sizes, **ends))
    maps = nn.ModuleDict({"to_k": nn.Linear(16, 8, bias=False), "to_v": nn.Linear(16, 8, bias=False)})
    unet = nn.ModuleDict({"attn2": maps})
    return SimpleNamespace(unet=unet.eval(), text_encoder=encoder.eval(), tokenizer=tokenizer)

"""Top tokens: the strongest places of a text, found by looking at all of them, and the tokens a row promotes."""

import torch

from clew.data.text.texts import windows
from clew.explain.top_tokens import top_tokens
from clew.methods.nodes.attribution_patching import attribution_patching
from tests.models.tiny import model_of, relu_dictionary
from tests.planted import random_behaviour

TEXTS = ["the nurse said that she was not very good . The old king and the red queen said that he was good ."] * 2


def test_top_tokens_are_where_the_unit_fires_most() -> None:
    model = model_of()
    view = model.through(relu_dictionary(model, "resid.1"))
    circuit = attribution_patching(view, random_behaviour(vocab=29)).top(6)
    shown = top_tokens(view, circuit, TEXTS, n=3, context=12).details
    rows = list(windows(TEXTS, lambda text: model.tokenizer(text)["input_ids"], 12))
    for node in (n for n in circuit if n.unit >= 0):
        places = [
            (float(v), row[1 + p])
            for row in rows
            for p, v in enumerate(view.run(torch.tensor([row]), read=["resid.1"]).code("resid.1")[0, 1:, node.unit])
        ]
        address = node.address.partition("@")[0]
        best, token = max(places)
        if best > 0:
            assert shown["top_tokens"][address][0] == model.tokenizer.decode([token])
            assert f"«{model.tokenizer.decode([token])}»" in shown["examples"][address][0]
        else:
            assert shown["top_tokens"][address] == []


def test_promoted_tokens_are_read_through_the_last_norm_and_the_unembedding() -> None:
    model = model_of()
    view = model.through(relu_dictionary(model, "resid.1"))
    circuit = attribution_patching(view, random_behaviour(vocab=29)).top(3)
    node = next(n for n in circuit if n.unit >= 0)
    row = view.dictionaries[node.site].W_dec[node.unit]
    module = model.body.module
    by_hand = module.lm_head(module.model.norm(row)).argmax().item()
    shown = top_tokens(view, circuit, TEXTS, n=2).details["promotes"]
    assert shown[node.address.partition("@")[0]][0] == model.tokenizer.decode([by_hand])

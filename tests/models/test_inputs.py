"""What a module takes and gives: masks, classes, states, pictures alone and in a text."""

from __future__ import annotations

import pytest
import torch
import transformers as hf
from transformers import PreTrainedModel

from clew.changes import Scale, Update
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Pair, encode
from clew.data.text.windows import Windows
from clew.dictionaries import Identity
from clew.edits.components.remove_feature import remove_feature
from clew.explain.top_tokens import moved
from clew.measures.dictionaries.fit import fit
from clew.models.inputs import SHOWN, Inputs, ask, break_in, given_by, of_tokens, samples, takes_words
from clew.models.likelihood import likelihoods
from clew.models.selfcheck import selfcheck
from clew.models.tokens import BREAK
from clew.readings.likelihood import predictions
from clew.readings.pushed import Contexts
from clew.sites import Site, Where
from tests.models.others import CLASSES, MASK, MASKED, OTHERS, PICTURE, WORDS, asked, module_of, other
from tests.models.tiny import word_tokenizer


def bare(model, rows):
    """What the module gives, asked without clew."""
    module = model.body.module
    with torch.no_grad():
        if takes_words(module):
            return given_by(module(**of_tokens(torch.tensor(rows))))
        return given_by(
            module(pixel_values=torch.cat([model.body.inputs._shown[row[0]]["pixel_values"] for row in rows]))
        )


@pytest.mark.parametrize("name", OTHERS)
def test_every_site_of_every_kind_holds_what_it_promises(name):
    model = other(name)
    check = selfcheck(model.body)
    refused = {finding.name for finding in check.findings if not finding.holds}
    assert refused == ({"resume"} if name in ("albert", "t5") else set()), check.lines
    assert {s.part for s in model.sites()} >= {
        "embed",
        "q",
        "k",
        "v",
        "pattern",
        "head",
        "attn",
        "neuron",
        "mlp",
        "resid",
    }


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in MASKED])
def test_what_comes_out_is_what_the_module_gives(name):
    model = other(name)
    rows = asked(model)
    run = model.run(rows, read=model.sites())
    wanted = bare(model, rows)
    assert torch.equal(run.end, wanted[:, None] if name in CLASSES else wanted)
    assert (run.logits is None) == (name in ("bert without a head", "clip text", "clip vision"))


@pytest.mark.parametrize("name", MASKED)
def test_a_mask_is_answered_where_it_stands(name):
    model = other(name)
    rows = asked(model)
    where = [row.index(MASK) for row in rows]
    wanted = bare(model, rows)[[0, 1], where]
    assert torch.allclose(model.run(rows, logits=1).logits[:, 0], wanted, rtol=1e-12, atol=1e-12)
    assert torch.equal(model.run(rows).logits, bare(model, rows))
    edit = Scale(Site("resid", 1), factor=0.0, where=Where("answer"))
    (receipt,) = model.run(rows, edits=[edit]).receipts
    moved = (model.run(rows, edits=[edit]).logits != bare(model, rows)).any(-1)
    assert receipt.reached == 2 and moved.nonzero().tolist() == [[0, where[0]], [1, where[1]]]
    with pytest.raises(ValueError, match=r"mask token \(3\), and prompt 0 has 0 of them"):
        model.run([[5, 6, 7]], logits=1)
    with pytest.raises(ValueError, match="answers each prompt in one place"):
        model.run(rows, logits=2)


@pytest.mark.parametrize("name", ["bert", "bert of classes", "vit", "clip text"])
def test_a_head_that_is_zeroed_is_one_whose_columns_of_the_output_are(name):
    model = other(name)
    rows, out = asked(model), model.body.linear("out.1").owner
    zeroed = model.run(rows, edits=[Scale(Site("head", 1), factor=0.0, units=tuple(range(8, 16)))]).end
    with torch.no_grad():
        out.weight[:, 8:16] = 0
    assert torch.allclose(model.run(rows).end, zeroed, rtol=1e-9, atol=1e-12)


def test_blocks_that_share_modules_have_sites_of_their_own():
    shared, rows = other("albert"), asked(other("albert"))
    config = shared.body.module.config
    config = type(config)(**config.to_dict() | {"num_hidden_groups": 2})
    apart = type(shared.body.module)(config).double().eval()
    held = shared.body.module.state_dict()
    apart.load_state_dict({name: held[name.replace("groups.1", "groups.0")] for name in apart.state_dict()})
    assert torch.equal(apart(input_ids=torch.tensor(rows)).logits, shared.run(rows).logits)
    for layer in (0, 1):
        zeroed = shared.run(rows, edits=[Scale(Site("head", layer), factor=0.0, units=tuple(range(8)))]).logits
        layers = apart.albert.encoder.albert_layer_groups
        dense = layers[layer].albert_layers[0].attention.dense
        kept = dense.weight.detach().clone()
        with torch.no_grad():
            dense.weight[:, :8] = 0
            wanted = apart(input_ids=torch.tensor(rows)).logits
            dense.weight.copy_(kept)
        assert torch.allclose(zeroed, wanted, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="blocks of albert share their weights"):
        shared.edited(Update("out.1", left=torch.ones(32, 32)))


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_decoder_and_its_encoder_are_edited_each_by_its_own_positions(name):
    model = other(name)
    rows = asked(model)
    at = break_in(torch.tensor(rows))
    run = model.run(rows, read=model.sites())
    assert {run[s].shape[1] for s in ("encoder.resid.1", "cross_k.0")} == {at} == {9}
    assert {run[s].shape[1] for s in ("resid.1", "cross.0", "cross_q.0")} == {len(rows[0]) - at - 1}
    assert run["cross_pattern.1"].shape[2:] == (6, 9) and str(Site.parse("decoder.resid.1")) == "resid.1"
    heads = Scale(Site("cross_head", 1), factor=0.0, units=tuple(range(8, 16)))
    zeroed = model.run(rows, edits=[heads]).logits
    (out,) = (
        m for n, m in model.body.block(1).named_modules() if n in ("encoder_attn.out_proj", "layer.1.EncDecAttention.o")
    )
    kept = out.weight.detach().clone()
    with torch.no_grad():
        out.weight[:, 8:16] = 0
        assert torch.allclose(bare(model, rows), zeroed, rtol=1e-9, atol=1e-12)
        out.weight.copy_(kept)
    last = Scale(Site("resid", 1, "encoder"), factor=0.0, where=Where.at(-1))
    assert model.run(rows, edits=[last]).receipts[0].fired == 2
    held = model.run(rows, edits=[Scale(Site("final", stack="encoder"), factor=0.0)], read=["cross_v.0"])["cross_v.0"]
    assert bool((held == held[:, :1]).all())  # the bias at most
    with pytest.raises(ValueError, match="its decoder has no cross_pattern|has no site"):
        model.run(rows, read=["encoder.cross.0"])


def test_an_encoder_beside_a_decoder_is_padded_on_the_right_and_a_decoder_begins_by_itself():
    for name in ("t5", "bart"):
        model = other(name)
        tokens, real = model.tokens([[5, 6, 7, 8], [5, 6]])
        assert tokens[:, -1].tolist() == [0, 0] and real.int().sum(1).tolist() == [6, 4]
        both = model.run([[5, 6, 7, 8], [5, 6]]).logits
        assert torch.allclose(both[1], model.run([[5, 6]]).logits[0], rtol=1e-6, atol=1e-6)
        assert torch.allclose(both[:1, -1], model.run([[5, 6, 7, 8]], logits=1).logits[:, -1], rtol=1e-6, atol=1e-6)
        with pytest.raises(ValueError, match="decoders have written"):
            model.run([[5, 6, BREAK, 0], [5, 6, BREAK, 0, 9]])
        with pytest.raises(ValueError, match="on both sides"):
            model.run([[5, 6, BREAK]])


def test_a_decoder_writes_as_the_module_does_with_edits_at_every_step():
    model = other("bart")
    model.body._tokenizer = word_tokenizer()
    with torch.no_grad():
        wanted = model.body.module.generate(
            input_ids=torch.tensor([[5, 6, 7, 8]]), max_new_tokens=5, num_beams=1, do_sample=False, eos_token_id=None
        )
    written = model.generate([[5, 6, 7, 8]], max_new_tokens=5, eos_token_id=None)
    assert written.tokens.tolist() == wanted.tolist()
    (receipt,) = model.edited(Scale(Site("cross", 1), factor=0.0)).generate([[5, 6, 7, 8]], max_new_tokens=5).receipts
    assert receipt.calls == receipt.fired == 5


def test_prompts_of_several_lengths_are_padded_on_the_right_of_an_encoder_and_mean_the_same():
    for name in ("bert", "roberta", "bert of classes"):
        model = other(name)
        one, two = asked(model)
        short = [*[t for t in two if t != MASK][:4], MASK]
        both = model.run([one, short], logits=1).logits
        assert torch.allclose(both[1], model.run([short], logits=1).logits[0], rtol=1e-6, atol=1e-9)
    tokens, real = model.tokens([one, short])
    with pytest.raises(ValueError, match="padding must be on the right"):
        model.run(tokens.flip(1), real=real.flip(1))


def test_what_needs_a_causal_model_is_refused():
    for name in ("bert", "vit", "clip text"):
        with pytest.raises(ValueError, match="generate needs a causal language model"):
            other(name).generate(asked(other(name)))


def test_pictures_are_rows_of_ids_that_mean_what_was_shown():
    model = other("vit")
    pictures = samples(model.body.module, 2)
    rows = model.show(pixel_values=pictures)
    assert [len(set(row)) for row in rows] == [1, 1] and len(rows[0]) == 17 and rows[0][0] >= SHOWN
    assert model.show(pixel_values=pictures.flip(0)) == rows[::-1]  # a hash of what was shown
    patched = model.run(rows, edits=[Scale(Site("resid", 0), factor=0.0, where=Where.at(3))])
    assert patched.receipts[0].reached == 2 and not torch.equal(patched.logits, model.run(rows).logits)
    (posed,) = encode(model, [Pair(rows[0], rows[1], (1,), (4,))])
    assert posed.answers == [1]
    assert "not a class of the model" in str(encode(model, [Pair(rows[0], rows[1], (5,))])[0])
    with pytest.raises(ValueError, match="was not shown"):
        other("vit").run(rows)
    with pytest.raises(ValueError, match="takes no tokens"):
        model.run([[1, 2]])
    for wrong, why in (
        ({}, "nothing to show"),
        ({"pixels": pictures}, "takes no 'pixels'"),
        ({"pixel_values": pictures / 0}, "not finite"),
    ):
        with pytest.raises(ValueError, match=why):
            model.show(**wrong)


def test_a_site_without_positions_is_edited_as_a_whole():
    model = other("vit")
    rows = asked(model)
    half = model.run(rows, edits=[Scale(Site("final"), factor=0.0)]).logits
    assert torch.allclose(half[:, 0], model.body.unembed.bias.expand(2, -1))
    with pytest.raises(ValueError, match="final has no positions"):
        model.run(rows, edits=[Scale(Site("final"), factor=0.0, where=Where.at(0))])


def test_a_picture_in_a_text_is_seen_as_the_module_sees_it():
    model = other("llava")
    module = model.body.module
    pictures = samples(module.model.vision_tower, 2)
    texts = [[5, *[PICTURE] * 16, 7, 8], [9, *[PICTURE] * 16, 7, 10]]
    rows = model.show(texts, pixel_values=pictures)
    with torch.no_grad():
        wanted = module(input_ids=torch.tensor(texts), pixel_values=pictures).logits
    assert torch.equal(model.run(rows, read=model.sites()).logits, wanted)
    assert not torch.equal(wanted, model.run(model.show(texts, pixel_values=pictures.flip(0))).logits)
    with pytest.raises(ValueError, match="prompt 0 has no place for what is shown"):
        model.show([[5, 6]], pixel_values=pictures[:1])


def test_a_module_that_gives_neither_logits_nor_states_is_refused():
    with pytest.raises(ValueError, match="neither logits nor last_hidden_state, but start_logits"):
        given_by(type("Output", (), {"keys": lambda self: ["start_logits"]})())
    assert module_of("vit").main_input_name == "pixel_values"


def test_a_tensor_for_a_decoder_says_what_it_has_written():
    model = other("bart")  # the module by itself would give its decoder what the encoder is asked
    with pytest.raises(ValueError, match="does not say what the decoder has written"):
        model.run(torch.tensor([[5, 6, 7, 8]]))
    framed = torch.tensor([[5, 6, 7, 8, BREAK, 0]])
    assert torch.equal(model.run(framed).logits, model.run([[5, 6, 7, 8]]).logits)


def test_logits_of_all_positions_are_not_measured_as_those_of_the_mask():
    model = other("bert")
    (row,) = asked(model, 1)
    behaviour = Behaviour("filled", (Pair(row, (*row[:-1], 50), (7,), (8,)),))
    (batch,) = behaviour.batches(model)
    with pytest.raises(ValueError, match="answers in the place of its mask; run with logits=1"):
        behaviour.measured(model.run(batch.clean), batch)
    at = row.index(MASK)
    found = model.run(batch.clean).logits[0, at]
    assert torch.allclose(behaviour.measured(model.run(batch.clean, logits=1), batch), (found[7] - found[8])[None])


def test_what_is_about_the_next_token_is_refused_by_models_that_do_not_tell_it():
    for name in ("bert", "bert of classes", "llama of classes", "clip text"):
        model = other(name)
        (row,) = asked(model, 1)
        flat, counted = torch.tensor(row, dtype=torch.int32), torch.ones(9, dtype=torch.bool)
        text = Windows(flat, torch.tensor([9]), counted, torch.tensor([0]), {})
        (batch,) = text.batches(9)
        with pytest.raises(ValueError, match="likelihood of an answer needs a causal language model"):
            likelihoods(model, [(row, (1,))])
        with pytest.raises(ValueError, match="running text needs a causal language model"):
            predictions(model, batch)
        with pytest.raises(ValueError, match="an addition pushes needs a causal language model"):
            Contexts(model, torch.tensor([row, row]))
        with pytest.raises(ValueError, match="the loss of a text needs a causal language model"):
            fit(model, text, Identity(Site("resid", 0), 32))


def test_an_answer_is_told_by_its_class_and_a_unit_of_an_encoder_is_not_read_by_the_maps_of_the_decoder():
    assert other("bert of classes").told(1) == "so so"
    model = other("t5")
    assert moved(model, Site("neuron", 0, "encoder"), torch.ones(1, 48, dtype=torch.float64), 2) == [([], [])]
    with pytest.raises(ValueError, match="stream of the encoder"):
        remove_feature(model, at="encoder.resid.0", direction=torch.ones(32))


def pictured_with_kinds() -> PreTrainedModel:
    """A language model that is shown pictures, in which positions follow from their grid."""
    text = WORDS | {"num_key_value_heads": 2, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}
    vision = {"depth": 1, "hidden_size": 32, "num_heads": 4, "intermediate_size": 48, "out_hidden_size": 32}
    grid = {"patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 16}
    torch.manual_seed(0)
    return hf.Qwen2_5_VLForConditionalGeneration(
        hf.Qwen2_5_VLConfig(
            text_config=text | {"bos_token_id": None, "eos_token_id": None},
            vision_config=vision | grid | {"fullatt_block_indexes": [0]},
            image_token_id=91,
            video_token_id=90,
            vision_start_token_id=94,
            vision_end_token_id=93,
        )
    ).eval()


def test_what_is_shown_stands_in_its_own_places_and_with_what_belongs_to_each_token():
    module = pictured_with_kinds()
    inputs, grid, text = Inputs(module), torch.tensor([[1, 4, 4]]), [5, 94, *[91] * 4, 93, 7]
    given = {"pixel_values": torch.randn(16, 96), "image_grid_thw": grid}
    kinds = (torch.tensor([text]) == 91).long()
    with pytest.raises(ValueError, match="positions of what is shown follow from mm_token_type_ids"):
        inputs.show(given, [text])
    (row,) = inputs.show(given | {"mm_token_type_ids": kinds}, [text])
    assert inputs.of(torch.tensor([row]))["input_ids"].tolist() == [text]
    with torch.no_grad():
        wanted = module(input_ids=torch.tensor([text]), mm_token_type_ids=kinds, **given).logits
        assert torch.equal(ask(module, inputs.of(torch.tensor([row]))).logits, wanted)
    with pytest.raises(ValueError, match="mm_token_type_ids, a number for each token, are not padded"):
        inputs.of(torch.tensor([[0, 0, *row]]))
    with pytest.raises(ValueError, match="are not padded"):
        inputs.of(torch.tensor([row, range(5, 5 + len(row))]))
    with pytest.raises(ValueError, match=r"places of several kinds, of the tokens \[90, 91\]"):
        inputs.show(given | {"mm_token_type_ids": kinds}, [[90, *text[1:]]])


def test_prompts_that_were_shown_by_other_names_are_not_run_as_one_batch():
    model = other("llava")
    given, text = {"pixel_values": samples(model.body.module.model.vision_tower, 1)}, [[5, *[PICTURE] * 16, 7, 8]]
    plain, sized = model.show(text, **given), model.show(text, **given, image_sizes=torch.tensor([[16, 16]]))
    with pytest.raises(ValueError, match="shown with image_sizes, and others without"):
        model.run([*plain, *sized])


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"for 17 positions give \[prompt, 3, 16, 16\]"):
        other("vit").show(pixel_values=torch.zeros(1, 3, 32, 32))

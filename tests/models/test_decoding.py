"""What transformers' generate is told: what the user asked for, and nothing else."""

import pytest
from transformers import GenerationConfig

from clew.models.decoding import bare_config, decoding
from tests.models.tiny import module_of

GREEDY = {"do_sample": False, "use_cache": True, "num_beams": 1, "num_return_sequences": 1}


def test_greedy_unless_something_else_is_asked_for():
    assert decoding(4, None, {}) == (20, GREEDY)
    assert decoding(4, 3, {"repetition_penalty": 2.0}) == (3, GREEDY | {"repetition_penalty": 2.0})
    assert decoding(4, 3, {"eos_token_id": None}) == (3, GREEDY | {"eos_token_id": None}), "None is said too"


def test_the_length_is_said_once():
    assert decoding(4, None, {"max_length": 9}) == (5, GREEDY)
    assert decoding(4, None, {"generation_config": GenerationConfig(max_new_tokens=7)}) == (7, GREEDY)
    assert decoding(4, 2, {"generation_config": GenerationConfig(max_new_tokens=7)}) == (2, GREEDY)


@pytest.mark.parametrize(
    ("new", "options", "words"),
    [
        (3, {"max_length": 9}, "max_new_tokens=3 and max_length=9 both say where to end"),
        (None, {"max_length": 4}, "max_length=4 with a prompt of 4 tokens leaves no token to write"),
        (0, {}, "max_new_tokens=0 leaves no token to write"),
        (None, {"temperature": 0.7}, "temperature=0.7 says how to sample, but nothing is sampled; add do_sample=True"),
        (None, {"top_k": 5, "do_sample": False}, "top_k=5 says how to sample"),
        (None, {"generation_config": GenerationConfig(num_beams=4)}, "num_beams=4 is not possible here"),
        (None, {"input_ids": [[3]]}, "input_ids= is made of the prompts"),
    ],
)
def test_what_contradicts_itself_is_refused(new, options, words):
    with pytest.raises(ValueError, match=words):
        decoding(4, new, options)


def test_of_what_came_with_the_weights_the_tokens_stay():
    module = module_of()
    there = module.generation_config
    there.eos_token_id, there.pad_token_id, there.repetition_penalty = [1, 5], 0, 3.0
    assert bare_config(module).to_diff_dict().items() >= {"eos_token_id": [1, 5], "pad_token_id": 0}.items()
    assert bare_config(module).repetition_penalty is None

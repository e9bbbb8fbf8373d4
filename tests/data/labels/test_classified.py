"""What a probe is to tell, of labelled texts and of secrets."""

import numpy as np

from clew.data.facts.secrets import Secret, Secrets
from clew.data.labels.labelled import Labelled
from tests.models.tiny import model_of

TONE = Labelled("tone", ("he was good", "she was old", "a man", "the red"), {"tone": ("good", "old", "", "good")})


def test_texts_to_which_a_labelling_does_not_apply_are_left_out():
    found = TONE.classified(model_of().tokenizer)
    assert found.texts == ("he was good", "she was old", "the red") and found.label.tolist() == [0, 1, 0]
    assert found.group.tolist() == [0, 1, 3] and (found.at, found.of) == ("mean", "texts")
    assert found.answers is not None and len(set(found.answers.tolist())) == 2


def test_every_token_of_a_secret_is_a_class_after_what_comes_before_it():
    tokenizer = model_of().tokenizer
    secrets = Secrets("s", (Secret("the nurse said", "he was old"), Secret("the king said", "she was red")))
    found = secrets.classified(tokenizer)
    whole = secrets.ids(tokenizer)
    assert (found.at, found.of) == (-1, "secrets") and found.texts[0] == tuple(whole[0][0])
    assert found.answers is not None
    said = [int(found.answers[label]) for label in found.label]
    assert all(token in whole[group][1] for token, group in zip(said, found.group, strict=True))


def test_a_part_keeps_what_belongs_together():
    found = TONE.classified(model_of().tokenizer)
    part = found.pick(np.array([False, True, True]))
    assert part.texts == found.texts[1:] and part.group.tolist() == [1, 3] and part.answers is found.answers

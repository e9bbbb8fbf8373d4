import numpy as np
import pytest

from clew.methods.nodes.attribution_patching import attribution_patching
from clew.studies.comparison.items import completed, everything, random_ranking
from tests.planted import random_behaviour, tiny_model


def test_what_a_search_leaves_out_has_score_0_and_the_rest_stays():
    view, task = tiny_model("gpt2").components(), random_behaviour(6)
    found = attribution_patching(view, task, positions=False)
    whole = everything(view, task, "components")
    again = completed(view, found.top(4), whole)
    assert len(again) == len(whole) == sum(d.n_units for d in view.dictionaries.values())
    assert sorted(again.keys()) == sorted(whole.keys()) and again.keep(again.score != 0).keys() == found.top(4).keys()
    assert np.array_equal(again.score_error[:4], found.top(4).score_error)
    with pytest.raises(ValueError, match="position by position"):
        completed(view, attribution_patching(view, task, positions=True), whole)


def test_a_random_ranking_is_of_everything_and_its_seed_tells():
    view, task = tiny_model("gpt2").components(), random_behaviour(6)
    one, two, other = (random_ranking(view, task, unit="components", seed=seed) for seed in (0, 0, 1))
    assert one.keys() == everything(view, task, "components").keys()
    assert one.score.tolist() == two.score.tolist() != other.score.tolist()

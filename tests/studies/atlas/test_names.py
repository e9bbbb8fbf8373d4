import numpy as np

from clew.data.predicates.before import HERE, NEXT
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts
from clew.studies.atlas.names import names

WORDS = {i: f" {w}" for i, w in enumerate("the of a dog cat barks sleeps runs red blue in on to at by we".split())}


def drawn(n, last, answer, seed):
    """Contexts of random words that end so, and what follows."""
    rng = np.random.default_rng(seed)
    return [([*rng.integers(8, 16, 4).tolist(), last], answer) for _ in range(n)]


def test_a_planted_rule_is_found_and_holds_in_contexts_that_were_left_out():
    rows = drawn(30, 1, 0, 0) + drawn(30, 3, 0, 1) + drawn(30, 3, 5, 2)  # of the, dog the, dog barks
    given = Contexts.of(*map(list, zip(*rows, strict=True)))
    of_the, dog_the, dog_barks = names(given, Clustering(np.repeat([0, 1, 2], 30)), WORDS)
    assert {p.at for p in dog_the.predicates} == {HERE, NEXT}  # neither of both alone tells it from the others
    for name in (of_the, dog_the, dog_barks):
        assert (name.precision, name.recall, name.f1) == (1.0, 1.0, 1.0)
    assert "of" in of_the.said and "barks" in dog_barks.said and of_the.usual == "' of' then ' the'"


def test_a_cluster_of_anything_has_a_name_that_does_not_hold():
    rows = [
        (ids, int(a))
        for (ids, _), a in zip(drawn(60, 1, 0, 0), np.random.default_rng(1).integers(3, 8, 60), strict=True)
    ]
    given = Contexts.of(*map(list, zip(*rows, strict=True)))
    for name in names(given, Clustering(np.random.default_rng(2).permutation(np.arange(60) % 6)), WORDS):
        assert name.f1 < 0.6


def test_where_nothing_can_be_said_the_name_is_empty():
    given = Contexts.of([[1, 2], [3, 4], [5, 6], [7, 8]], [9, 10, 11, 12])
    one, _ = names(given, Clustering(np.array([0, 0, 1, 1])), WORDS)
    assert one.said == "" or one.predicates
    assert one.usual == "' a' then ' blue'"

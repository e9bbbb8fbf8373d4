import json

import numpy as np
import pytest

from clew.circuits.circuit import Circuit
from clew.studies.atlas.circuits import checks, circuit_of, items
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts
from clew.studies.atlas.options import Wiring
from tests.stage import CAPITALS
from tests.studies.atlas.toys import LANDS, view


def asked(lands):
    model, befores = (
        view(),
        ("It rained all day .", "The old boat is sold .", "She sold the old keys .", "A pack of roses ."),
    )
    ids = model.tokenizer.convert_tokens_to_ids
    prompts = [f"{before} The capital of {land} is".split()[-8:] for land in lands for before in befores]
    answers = [CAPITALS[land] for land in lands for _ in befores]
    return Contexts.of([ids(words) for words in prompts], ids(answers))


GIVEN = asked(LANDS[:3])
CLUSTERS = Clustering(np.repeat([0, 1, 2], 4))


def test_items_are_plain_and_the_other_contexts_are_of_other_clusters():
    made = list(items(GIVEN, CLUSTERS, 30, 0))
    assert json.loads(json.dumps(made)) == made == list(items(GIVEN, CLUSTERS, 30, 0))
    for k, item in enumerate(made):
        own = {tuple(GIVEN.prompt(int(i))) for i in CLUSTERS.members(k)}
        assert {tuple(ids) for ids in item["contexts"]} == own and not own & {tuple(ids) for ids in item["others"]}
        assert item["found_on"] == 2 and [len(a) for a in item["contexts"]] == [len(b) for b in item["others"]]
    assert [len(item["answers"]) for item in items(GIVEN, CLUSTERS, 4, 0)] == [4, 4, 4]


def test_a_cluster_with_few_members_has_no_item_and_lengths_must_fit():
    assert [i["cluster"] for i in items(GIVEN, Clustering(np.array([0] * 9 + [1] * 3)), 30, 0)] == [0]
    given = Contexts.of([[1] * 5] * 4 + [[2] * 3] * 4, [1] * 8)
    with pytest.raises(ValueError, match="no context of another cluster has 5 tokens; give contexts of one length"):
        list(items(given, Clustering(np.repeat([0, 1], 4)), 30, 0))


@pytest.mark.parametrize("kind", ["mean", "resample", "zero"])
def test_the_unit_that_carries_the_answer_is_the_circuit(kind):
    first, *_ = items(GIVEN, CLUSTERS, 30, 0)
    made = circuit_of(view(), first, wiring=Wiring(nodes=2, otherwise=(kind,)))
    assert json.loads(json.dumps(made)) == made
    rows = {(row["measure"], row["of"]): row["value"] for row in made["rows"]}
    assert rows["faithfulness", ""] == pytest.approx(1.0, abs=0.05) and abs(rows["completeness", ""]) < 0.05
    assert rows["faithfulness", "random"] < 0.5
    circuit = Circuit.from_json(made["circuit"])
    assert len(circuit) == 2 and circuit.provenance["prompts"]["part"] == "train" and made["scored"] >= 2


def test_each_way_to_take_away_has_its_rows_and_edges_are_found_among_the_strongest():
    first, *_ = items(GIVEN, CLUSTERS, 30, 0)
    made = circuit_of(view(), first, wiring=Wiring(nodes=3, wired=2, otherwise=("resample", "zero")))
    assert {row["otherwise"] for row in made["rows"]} == {"resample", "zero"}
    circuit = Circuit.from_json(made["circuit"])
    assert len(circuit.weight) and set(circuit.source) <= {0, 1}


def test_checkers_say_what_the_answer_hangs_on():
    """Of "of LAND is" the land is within the last three tokens, so it goes on as before without the beginning."""
    first, *_ = items(GIVEN, CLUSTERS, 30, 0)
    told = checks(view(), first)
    assert told["beginnings"] == {"n": 4, "kept": 1.0, "drop": pytest.approx(0.0, abs=1e-3)}
    assert told["words"]["n"] == 4 and 0 <= told["words"]["kept"] <= 1  # is becomes are
    none = first | {"contexts": [[5, 5, 5]], "others": [[6, 6, 6]], "answers": [5]}
    assert checks(view(), none)["words"] == {"n": 0, "kept": None, "drop": None}

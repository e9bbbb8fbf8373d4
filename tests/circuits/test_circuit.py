"""Circuits: choosing, editing, comparing, and coming back from disk bit for bit."""

import json
import time
from dataclasses import replace
from inspect import unwrap

import numpy as np
import pytest
import torch

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.circuits.kind import Card
from clew.files import write_json
from clew.labels import Labels
from clew.sites import EVERY, Site

A, B = Site("resid", 0), Site("mlp", 1)


def circuit(**columns) -> Circuit:
    """Four nodes at two sites, four edges of which one ends in the metric."""
    own = {
        "site": np.array([0, 0, 1, 1]),
        "unit": np.array([3, ERROR, 7, 7]),
        "position": np.array([ANYWHERE, ANYWHERE, 2, ANYWHERE]),
        "score": np.array([0.5, -2.0, 1.0, 0.25]),
        "patch_mean": np.array([0.1, np.nan, 0.2, 0.3]),
        "source": np.array([0, 1, 2, 0]),
        "target": np.array([2, 2, OUTPUT, 3]),
        "weight": np.array([0.4, -3.0, 1.0, 0.1]),
    }
    return Circuit((A, B), {A: 8, B: 9}, **{**own, **columns}, labels=Labels.of({"resid.0/3": "female pronoun"}))


def columns(c: Circuit) -> dict[str, np.ndarray]:
    return {name: getattr(c, name) for name in "site unit position score patch_mean source target weight".split()}


def test_nodes_by_hand():
    assert [n.address for n in circuit()] == ["resid.0/3", "resid.0/error", "mlp.1/7@2", "mlp.1/7"]
    assert [n.label for n in circuit().nodes] == ["female pronoun", "", "", ""]
    assert len(circuit()) == 4 and circuit().nodes[1].score == -2.0


def test_top_sorts_by_size_and_renumbers_the_edges():
    top = circuit().top(2)
    assert [n.address for n in top] == ["resid.0/error", "mlp.1/7@2"]
    assert list(zip(top.source, top.target, top.weight, strict=True)) == [(0, 1, -3.0), (1, OUTPUT, 1.0)]


def test_above_and_keep_choose_by_hand():
    assert [n.unit for n in circuit().above(0.5)] == [ERROR, 7]  # 0.5 itself is not above
    kept = circuit().keep(np.array([True, False, False, True]))
    assert list(zip(kept.source, kept.target, strict=True)) == [(0, 1)] and len(kept) == 2
    assert len(circuit().top(0)) == 0 and len(circuit().top(0).weight) == 0 and len(circuit().top(99)) == 4


def test_ties_keep_forward_order():
    tied = circuit(score=np.array([1.0, -1.0, 1.0, -1.0])).top(3)
    assert [n.address for n in tied] == ["resid.0/3", "resid.0/error", "mlp.1/7@2"]


@pytest.mark.parametrize("n", [-1, 2.5, 1.0, True, "3", None])
def test_only_a_whole_number_from_0_on_is_a_count(n):
    for choose, what in ((Circuit.top, "nodes"), (Circuit.strongest_edges, "edges")):
        with pytest.raises(ValueError, match=rf"n={n!r} {what}: give a whole number from 0 on"):
            unwrap(choose)(circuit(), n)


def test_strongest_edges_leave_the_nodes():
    strong = circuit().strongest_edges(2)
    assert strong.weight.tolist() == [-3.0, 1.0] and len(strong) == 4


@pytest.mark.parametrize(
    ("name", "addresses"),
    [("female pronoun", ["resid.0/3"]), ("mlp.1/7", ["mlp.1/7@2", "mlp.1/7"]), ("mlp.1/7@2", ["mlp.1/7@2"]),
     ("resid.0/error", ["resid.0/error"]), ("resid.0", ["resid.0/3", "resid.0/error"])],
)  # fmt: skip
def test_nodes_are_found_by_label_address_and_site(name, addresses):
    assert [n.address for n in circuit()[name]] == addresses


@pytest.mark.parametrize(
    ("name", "close"), [("female pronouns", "'female pronoun'"), ("mlp.1/8", "'mlp.1/7'"), ("", "known")]
)
def test_a_name_that_is_not_there_lists_near_ones(name, close):
    with pytest.raises(KeyError, match=close):
        circuit()[name]


def test_labels_and_details_are_added_not_lost():
    c = circuit().labelled({"mlp.1/7": "verbs"}).with_details(words=["a"])
    assert c.labels == Labels.of({"resid.0/3": "female pronoun", "mlp.1/7": "verbs"}) and c.details == {"words": ["a"]}
    assert circuit().details == {}


def test_what_is_said_of_other_units_is_passed_over_and_of_other_dictionaries_refused():
    c = replace(circuit(), provenance={"dictionaries": {"resid.0": "aa", "mlp.1": "bb"}})
    said = Labels.of({"resid.0/3": "pronouns", "resid.0/6": "of no node", "resid.7/1": "of no site"})
    assert c.explained(said).labels == c.labels | Labels.of({"resid.0/3": "pronouns"})
    assert c.explained(replace(said, dictionaries={"resid.0": "aa"})).labels.name("resid.0/3") == "pronouns"
    with pytest.raises(ValueError, match=r"of the dictionary cc at resid\.0, and the circuit was found in aa"):
        c.explained(replace(said, dictionaries={"resid.0": "cc"}))
    with pytest.raises(TypeError, match="explained takes Labels"):
        unwrap(Circuit.explained)(c, {"resid.0/3": "a dict"})


def test_an_explained_circuit_comes_back_with_equal_labels(tmp_path):
    c = replace(circuit(), provenance={"dictionaries": {"resid.0": "aa"}})
    labels = replace(Labels.of({"resid.0/3": "pronouns"}), dictionaries={"resid.0": "aa"})
    named = c.explained(labels)
    back = Circuit.load(named.save(tmp_path / "named.json"))
    assert back == named and back.labels == named.labels


def test_labels_of_earlier_versions_are_read_as_what_nobody_signed(tmp_path):
    value = circuit().to_json() | {"version": 2, "labels": {"resid.0/3": "female pronoun"}}
    old = Circuit.load(write_json(tmp_path / "old.json", value))
    assert old["female pronoun"].nodes[0].address == "resid.0/3"
    (label,) = old.labels["resid.0/3"]
    assert label.kind == "prose" and "no origin" in label.origin
    assert Circuit.load(old.save(tmp_path / "new.json")) == old


def test_edits_are_grouped_by_site_position_and_error():
    edits = circuit().scale(0.5)
    seen = [(str(e.at), e.where.kind, e.where.values, e.basis, e.units) for e in edits]
    assert seen == [
        ("resid.0", "every", (), "code", (3,)),
        ("resid.0", "every", (), "error", None),
        ("mlp.1", "every", (), "code", (7,)),
        ("mlp.1", "position", (2,), "code", (7,)),
    ]
    assert torch.equal(edits[0](torch.tensor([4.0])), torch.tensor([2.0]))


def test_mean_holds_units_at_their_patch_mean_and_refuses_errors():
    (edit,) = circuit()["resid.0/3"].mean()
    assert edit(torch.zeros(2, 1)).tolist() == [[pytest.approx(0.1)], [pytest.approx(0.1)]]
    with pytest.raises(ValueError, match="error node"):
        circuit().mean()


def test_diff_and_overlap_by_hand():
    one, two = circuit(), circuit().above(0.4).keep(np.array([0, 2]))
    d = one.diff(two)
    assert (len(d.shared), len(d.only_first), len(d.only_second)) == (2, 2, 0) and d.overlap == 0.5
    assert ("resid.0", ERROR, ANYWHERE) in d.only_first
    back = two.diff(one)
    assert back.only_second == d.only_first and back.overlap == 0.5


def test_diff_compares_edges_by_their_ends():
    one = circuit()
    other = one.keep(np.array([3, 2, 1, 0])).keep_edges(np.array([0, 1, 2]))
    other = replace(other, weight=other.weight * np.array([2.0, 2.0, -1.0]))
    d = one.diff(other)
    a, error, b = ("resid.0", 3, ANYWHERE), ("resid.0", ERROR, ANYWHERE), ("mlp.1", 7, 2)
    assert d.shared_edges == ((a, b), (error, b), (b, ("metric", OUTPUT, ANYWHERE))) and d.edge_overlap == 3 / 4
    assert d.only_first_edges == ((a, ("mlp.1", 7, ANYWHERE)),) and d.only_second_edges == ()
    assert d.edge_correlation == pytest.approx(np.corrcoef([0.4, -3, 1], [0.8, -6, -1])[0, 1])
    assert "3 edges shared, 1 only in the first, 0 only in the second; overlap 0.75" in str(d)


def test_of_circuits_without_edges_none_is_spoken_of():
    d = circuit().keep_edges(np.zeros(0, np.int64)).diff(circuit().keep_edges(np.zeros(0, np.int64)))
    assert d.edge_overlap == 1 and np.isnan(d.edge_correlation) and "edges" not in str(d)


def test_a_circuit_equals_itself_and_empty_circuits_are_equal():
    d = circuit().diff(circuit())
    assert d.overlap == 1 and d.correlation == pytest.approx(1) and "4 nodes shared" in str(d)
    empty = circuit().top(0)
    assert empty.diff(empty).overlap == 1 and np.isnan(empty.diff(empty).correlation)


@pytest.mark.parametrize("seed", range(5))
def test_random_columns_come_back_bit_for_bit(tmp_path, seed):
    r = np.random.default_rng(seed)
    n, edges = int(r.integers(1, 40)), int(r.integers(0, 60))
    score = r.standard_normal(n) * 10.0 ** r.integers(-300, 300, n)
    mean = np.where(r.random(n) < 0.3, np.nan, r.random(n))
    c = circuit(
        site=r.integers(0, 2, n), unit=r.integers(-1, 8, n), position=r.integers(-1, 9, n), score=score,
        patch_mean=mean, source=r.integers(0, n, edges), target=r.integers(-1, n, edges), weight=r.standard_normal(edges),
    )  # fmt: skip
    back = Circuit.load(c.save(tmp_path / "c.json"))
    for name, column in columns(c).items():
        assert getattr(back, name).tobytes() == column.tobytes(), name
    assert (back.sites, back.units, back.labels) == (c.sites, c.units, c.labels)


def test_single_precision_scores_and_an_empty_circuit_come_back(tmp_path):
    c = circuit(score=np.array([0.1, np.nan, 3e-41, -0.0], np.float32))
    back = Circuit.load(c.save(tmp_path / "c.json")).score
    assert np.array_equal(back.astype(np.float32), c.score, equal_nan=True) and np.signbit(back[3])
    assert len(Circuit.load(c[:0].save(tmp_path / "e.json"))) == 0


def broken(tmp_path, change):
    value = circuit().to_json()
    change(value)
    return write_json(tmp_path / "broken.json", value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(version=99), "version 99; this clew reads 1 to 3"),
        (lambda v: v.update(format="clew report"), "'clew report'"),
        (lambda v: v["nodes"]["score"].pop(), "different lengths"),
        (lambda v: v["edges"]["weight"].pop(), "different lengths"),
        (lambda v: v["edges"]["target"].__setitem__(0, 4), "edges to nodes that do not exist"),
        (lambda v: v["edges"]["target"].__setitem__(0, -2), "edges to nodes that do not exist"),
        (lambda v: v["edges"]["source"].__setitem__(0, -1), "edges to nodes that do not exist"),
        (lambda v: v["nodes"]["site"].__setitem__(0, 2), "a site that it does not list"),
        (lambda v: v.pop("nodes"), "has no 'nodes'"),
        (lambda v: v["nodes"]["unit"].__setitem__(0, 1.5), "whole numbers"),
        (
            lambda v: v["nodes"]["score"].__setitem__(0, "x"),
            "nodes.score is a column of finite numbers .* row 0 holds 'x'",
        ),
        (lambda v: v["nodes"]["unit"].__setitem__(0, -2), "unit -2 in row 0 of nodes, where resid.0 has 8 units"),
        (lambda v: v["nodes"]["unit"].__setitem__(3, 9), "unit 9 in row 3 of nodes, where mlp.1 has 9 units"),
        (lambda v: v["nodes"]["position"].__setitem__(2, -2), "position -2 in row 2 of nodes"),
        (lambda v: v["kind"].update(length=2), "position 2 in row 2 of nodes; its prompts have 2 tokens"),
        (lambda v: v["nodes"]["position"].__setitem__(1, True), "position is a column of whole numbers, and row 1"),
        (lambda v: v["nodes"]["score"].__setitem__(2, True), "score is a column of finite numbers .* row 2 holds True"),
        (lambda v: v["sites"][1].update(units=-1), r"sites\[1\]\.units is -1; it is at least 0"),
        (lambda v: v["sites"][1].update(units=9.5), r"sites\[1\]\.units is 9.5; a whole number is due"),
        (lambda v: v["sites"][1].update(site="resid.0"), "listed twice"),
        (lambda v: v.update(labels=3), "labels is 3; an object is due"),
        (lambda v: v.update(labels={"resid.0/3": None}), "labels\\['resid.0/3'\\] is None; a list is due"),
        (lambda v: v.pop("labels"), "has no 'labels'"),
        (lambda v: v["nodes"].pop("score_error"), "nodes has no 'score_error'"),
        (lambda v: v["nodes"].update(more=[]), "nodes has 'more', which is none of"),
        (lambda v: v["nodes"]["unit"].__setitem__(0, 2**63), "whole numbers, and row 0"),
        (lambda v: v["nodes"]["score"].__setitem__(0, 10**400), "finite numbers .* row 0"),
        (lambda v: v.update(version=True), "version is True; a whole number is due"),
        (lambda v: v["sites"][0].update(site="residd.0"), "'resid'"),
        (lambda v: v["sites"][0].update(site=3), r"sites\[0\]\.site is 3; text is due"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, change, words):
    with pytest.raises(ValueError, match=words) as error:
        Circuit.load(broken(tmp_path, change))
    assert "broken.json" in str(error.value)


@pytest.mark.parametrize(
    ("literal", "said"),
    [
        ("1e999", r"c\.json is not JSON \(1e999 is beyond the largest number"),
        ("NaN", r"c\.json is not JSON \(NaN is no number of JSON\)"),
        ("Infinity", r"c\.json is not JSON \(Infinity is no number of JSON\)"),
    ],
)
def test_a_score_that_is_not_finite_is_refused(tmp_path, literal, said):
    path = circuit().save(tmp_path / "c.json")
    path.write_text(path.read_text().replace("0.25", literal))
    with pytest.raises(ValueError, match=said):
        Circuit.load(path)


def test_a_truncated_file_is_named(tmp_path):
    path = circuit().save(tmp_path / "cut.json")
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ValueError, match=r"cut\.json is not JSON"):
        Circuit.load(path)


def test_a_failing_save_leaves_the_old_circuit(tmp_path):
    path = circuit().save(tmp_path / "c.json")
    with pytest.raises(TypeError):
        circuit().with_details(tensor=torch.ones(1)).save(path)
    assert len(Circuit.load(path)) == 4 and list(tmp_path.iterdir()) == [path]


def test_provenance_and_details_come_back(tmp_path):
    c = circuit().with_details(curve=[[1, 0.5]], words={"a": None})
    assert Circuit.load(c.save(tmp_path / "c.json")).details == c.details
    assert json.loads((tmp_path / "c.json").read_text())["version"] == 3


def test_everywhere_sums_positions_and_edits_act_at_all_of_them() -> None:
    units, positions = np.array([4, 4, 9]), np.array([1, 3, 1])
    where = {"site": np.zeros(3, np.int64), "unit": units, "position": positions}
    placed = Circuit((A,), {A: 20}, **where, score=np.array([1.0, 2.0, -4.0]), patch_mean=np.array([0.2, 0.4, 1.0]))
    summed = placed.everywhere()
    assert summed.keys() == [("resid.0", 4, -1), ("resid.0", 9, -1)]
    assert summed.score.tolist() == [3.0, -4.0] and summed.patch_mean == pytest.approx([0.3, 1.0])
    (edit,) = summed.zero()
    assert edit.where == EVERY and edit.units == (4, 9)


def test_a_label_is_for_the_unit_at_every_position() -> None:
    one = np.zeros(1, np.int64)
    c = Circuit((A,), {A: 20}, site=one, unit=one + 4, position=one + 2, score=one * 1.0, patch_mean=one * 1.0)
    assert c.labelled({"resid.0/4@2": "plural"})["plural"].nodes[0].label == "plural"
    with pytest.raises(KeyError, match="no node of this circuit has the address 'resid.0/5'"):
        c.labelled({"resid.0/5": "plural"})


def test_details_that_are_no_numbers_are_saved_as_null(tmp_path):
    made = circuit().with_details(predicted_effects={"r": float("nan"), "nodes": np.int64(3), "of": (np.float64(0.5),)})
    loaded = Circuit.load(made.save(tmp_path / "c.json"))
    assert loaded.details["predicted_effects"] == {"r": None, "nodes": 3, "of": [0.5]}


def test_a_place_gives_its_node_and_a_slice_gives_a_circuit() -> None:
    one = circuit()
    assert one[0] == one.nodes[0] and one[-1] == one.nodes[3] and one[0].label == "female pronoun"
    assert one[1:3].keys() == one.keys()[1:3] and one[:0].keys() == []
    for place in (4, -5):
        with pytest.raises(IndexError, match=f"there is no node {place}; the circuit has 4"):
            one[place]


def test_a_notebook_shows_the_strongest_nodes_first_and_counts_the_rest() -> None:
    shown = circuit()._repr_html_()
    assert shown.index("resid.0/error") < shown.index("@2") < shown.index("female pronoun") < shown.index("+0.25")
    many = circuit().keep(np.arange(4).repeat(10))
    assert "and 20 more of 40 nodes" in many._repr_html_() and "more of" not in shown
    assert "<table" not in circuit()[:0]._repr_html_()


def test_a_notebook_shows_nodes_without_a_score_last_and_how_it_was_found() -> None:
    made = {"model": {"name": "tiny"}, "behaviour": {"name": "<ioi>"}, "method": "eap"}
    shown = circuit(score=np.array([np.nan, 0.1, -3.0, 0.2]), provenance=made)._repr_html_()
    order = [shown.index(score) for score in ("-3", "+0.2", "+0.1", "+nan")]
    assert order == sorted(order) and "model: tiny, behaviour: &lt;ioi&gt;, method: eap" in shown


def test_a_notebook_shows_edges_where_these_are_judged() -> None:
    card = Card(n_layers=2, n_heads=2, n_kv_heads=2, d_model=8, parallel=False)
    shown = circuit().with_kind(of="components", components=card)._repr_html_()
    assert ">from</th>" in shown and shown.count("<tr>") == 5 and ">metric</td>" in shown
    assert shown.index("-3") < shown.index("+1") < shown.index("+0.4") < shown.index("+0.1")


def test_edges_without_a_score_are_shown_last() -> None:
    c = circuit(weight=np.array([0.4, np.nan, 1.0, 0.1]))
    assert c.shown_edges(3).weight.tolist() == [1.0, 0.4, 0.1] and len(c.shown_edges(9).weight) == 4


def test_a_notebook_looks_at_the_strongest_of_a_million_nodes_alone() -> None:
    many = circuit().keep(np.arange(4).repeat(250_000))
    started = time.perf_counter()
    many._repr_html_()
    assert time.perf_counter() - started < 2


def test_a_plot_has_its_nodes_and_edges_where_they_stand() -> None:
    c = circuit(details={"tokens": ["The", " keys", " are"]})
    axes = c.plot()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["every position", "are"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [str(A), str(B), "metric"]
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == len(c) + 1  # and the metric
    assert len(axes.get_lines()) == len(c.edges)
    lines = {line.get_linewidth(): line.get_color() for line in axes.get_lines()}
    assert len(lines) == len(c.edges) and lines[max(lines)] != lines[sorted(lines)[-2]]  # the strongest is below 0
    named = circuit()["female pronoun"].plot()
    assert [said.get_text() for said in named.texts] == ["female pronoun"]


def test_in_one_column_edges_do_not_lie_on_one_line() -> None:
    axes = circuit(position=np.full(4, ANYWHERE)).plot()
    assert all(len(set(np.round(line.get_xdata(), 6))) == 2 for line in axes.get_lines())


def test_a_plot_takes_the_strongest_and_axes_that_are_there() -> None:
    axes = circuit()[:1].plot()
    again = circuit().plot(nodes=2, edges=0, axes=axes)
    assert again is axes and not axes.get_lines() and len(axes.figure.axes) == 1
    with pytest.raises(ValueError, match="n=-1 nodes"):
        circuit().plot(nodes=-1)
    assert circuit()[:0].plot().get_yticklabels() == []


def test_a_frame_has_a_row_for_each_node() -> None:
    made = circuit().to_frame()
    assert made["address"].tolist() == [n.address for n in circuit()] and made["score"].tolist() == [
        0.5,
        -2.0,
        1.0,
        0.25,
    ]
    assert made["site"].tolist()[0] == str(A) and made["label"].tolist()[0] == "female pronoun"


def test_what_has_no_score_cannot_be_ranked_but_shown():
    c = circuit(score=np.array([0.1, np.nan, -3.0, 0.0]))
    for ranked in (lambda: c.top(2), lambda: c.above(0.05)):
        with pytest.raises(ValueError, match=r"1 of 4 nodes have no score \(nan\), so they cannot be ranked"):
            ranked()
    assert c.keep(~np.isnan(c.score)).top(1).score.tolist() == [-3.0]
    assert c.shown(2).score.tolist() == [-3.0, 0.1] and len(c.shown(9)) == 4
    wired = replace(c, source=np.array([0]), target=np.array([2]), weight=np.array([np.nan]), weight_error=np.zeros(0))
    with pytest.raises(ValueError, match="1 of 1 edges have no score"):
        wired.strongest_edges(1)


def test_circuits_of_equal_content_are_equal_and_hash_alike(tmp_path):
    c = circuit(score=np.array([0.1, np.nan, 3e-41, -0.0], np.float32))
    c = c.with_details(tokens=("a", "b"), none=float("nan"))
    back = Circuit.load(c.save(tmp_path / "c.json"))
    assert back == c and hash(back) == hash(c) and {back: 1}[c] == 1
    others = [
        replace(c, score=c.score + 1),
        replace(c, details={}),
        replace(c, provenance={"seed": 1}),
        c.with_kind(length=9),
        c.keep(np.arange(3)),
        c.labelled({c.nodes[0].address: "another name"}),
    ]
    assert all(other != c for other in others) and c != "a circuit"


def test_the_hash_tells_which_nodes_and_edges_there_are_whatever_they_score():
    whole = circuit()
    assert whole.hash == circuit(score=np.zeros(4)).hash == whole.keep(np.array([3, 2, 1, 0])).hash
    assert len({whole.hash, whole.top(2).hash, whole.strongest_edges(1).hash}) == 3
    assert whole.card()["circuit"]["kept"] == {"nodes": 4, "edges": 4, "hash": whole.hash}

from clew.circuits.circuit import Circuit
from clew.circuits.ranked import EDGES, NODES, UNITS, ranked
from clew.finder import load


def test_a_signature_says_what_is_ranked():
    known = {"eap": (EDGES,), "acdc": (EDGES,), "path_patching": ("components",), "discrete_codes": ("heads",)}
    known |= {"uniform_gradient_sampling": UNITS, "attribution_patching": NODES}
    assert {name: ranked(load("methods", name)) for name in known} == known


def test_where_it_says_nothing_more_it_ranks_whatever_units_there_are():
    def mine(model, behaviour) -> Circuit: ...

    def bare(model, behaviour): ...

    assert ranked(mine) == ranked(bare) == NODES

import pytest

from clew.studies.comparison.searches import Search, checked, parsed


def test_a_search_is_a_name_and_options():
    assert parsed("eap-ig:steps=10:start=clean:on=true") == ("eap_ig", {"steps": 10, "start": "clean", "on": True})


def test_an_option_has_the_type_that_the_signature_says():
    def method(model, behaviour, *, share: float = 0.5, steps: int = 3): ...

    found = checked(method, {"share": 1, "steps": 2}, ["share", "steps"])
    assert found == {"share": 1.0, "steps": 2} and type(found["share"]) is float


def test_options_that_make_searches_rank_the_same_things_are_given_to_those_that_have_them():
    options = Search.named("attribution_patching:skip=1").options("components", seed=7)
    assert (options["positions"], options["seed"], options["skip"]) == (False, 7, 1)
    assert "over" not in options and Search.named("uniform_gradient_sampling").options("heads", 0)["over"] == "nodes"


def test_what_starts_from_more_than_a_behaviour_is_refused():
    with pytest.raises(ValueError, match="query_key needs more than a model and a behaviour"):
        Search.named("query_key")

import pytest

from clew.apps._starts import check_start


@pytest.mark.parametrize("named", ["--circuit", "args.circuit"])
def test_a_method_that_starts_from_nothing_is_given_no_circuit_and_one_that_does_is_given_one(named: str):
    check_start("attribution_patching", None, named)
    check_start("edges", "c.json", named)
    with pytest.raises(ValueError, match=f"starts from nothing; leave {named} c.json out"):
        check_start("attribution_patching", "c.json", named)
    with pytest.raises(ValueError, match=f"find one first, then give its path as {named}"):
        check_start("edges", None, named)

from clew.near import near


def test_a_near_name_is_proposed():
    assert near("resd", ["resid", "attn"]) == "did you mean 'resid'?"


def test_where_none_is_near_the_known_are_told_but_not_all_of_many():
    assert near("q", ["resid", "attn"]) == "known: resid, attn"
    assert near("?", map(str, range(40))).endswith("29 and 10 more")

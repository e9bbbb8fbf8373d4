from clew.explain.floors.shuffled import shuffled
from clew.readings.unseen import Case
from tests.explain.known import truth, unit, unseen


def case(said):
    return Case(truth(unit(said)), unseen(), unit(said))


def test_the_explanation_is_anothers_and_the_unit_stays():
    one, others = case("months"), [case(said) for said in ("months", "countries", "modal verbs")]
    found = shuffled(one, others, None)
    assert found.unit == one.unit and str(found.explanation) in ("countries", "modal verbs")
    assert shuffled(one, others, None, seed=0).explanation == found.explanation


def test_there_is_none_where_no_other_is():
    assert shuffled(case("months"), [case("months")], None) is None

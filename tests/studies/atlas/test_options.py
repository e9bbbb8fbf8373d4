import pytest

from clew.studies.atlas.options import Finding, Wiring


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Finding(length=48), "length=48, window=48"),
        (lambda: Finding(length=1), "a context has two tokens at least"),
        (lambda: Wiring(otherwise=()), "choose of mean, resample, zero"),
        (lambda: Wiring(nodes=0), "nodes=0"),
        (lambda: Wiring(nodes=10, wired=11), "no more nodes are wired than kept"),
        (lambda: Wiring(members=3), "needs 2 to be found on and 2 to be judged on"),
    ],
)
def test_what_there_cannot_be_is_refused(made, said):
    with pytest.raises(ValueError, match=said):
        made()

from clew.scale.map import map
from clew.scale.workers import Workers


def test_all_of_it_goes_to_map():
    assert list(map(len, ["a", "bc"], **Workers().plain())) == [1, 2]

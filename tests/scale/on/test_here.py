"""One worker, in this process."""

import pytest

from clew.scale.map import map
from tests.scale import toys


def test_there_is_one_worker():
    assert list(map(toys.with_held, [1], start=toys.opened, workers=1)) == [[True, 1]]
    with pytest.raises(ValueError, match="take on='pool' for more"):
        map(toys.twice, [1], workers=2)

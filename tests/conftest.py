"""Tiny models run fastest on one thread; tests that need the real one say so by the marker `real`."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

settings.register_profile(
    "clew",
    max_examples=40,
    deadline=None,
    derandomize=True,  # the same examples on every machine, so that a failure is one for all
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("clew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who runs together where several workers share the tests: those of one file, and all that need the real model.

    The latter so that one process fetches it, and holds it once.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group("real" if item.get_closest_marker("real") else str(item.path)))


@pytest.fixture(autouse=True)
def _leaves_gradients_on() -> Iterator[None]:
    """A test that leaves gradients off fails itself, and not those after it."""
    yield
    left_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert left_on, "gradients are off after this test"

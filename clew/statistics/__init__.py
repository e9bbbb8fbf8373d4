"""Statistics in plain numpy: intervals, ranks, tests."""

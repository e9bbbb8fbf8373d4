"""Benchmarks that a stranger can run: every search on every unit of a model, measured alike, with what it cost."""

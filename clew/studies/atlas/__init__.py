"""Behaviours found in text without a person, each with a circuit: contexts, vectors, clusters, and an atlas of them."""

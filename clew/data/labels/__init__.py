"""Labelled texts, and generators of them."""

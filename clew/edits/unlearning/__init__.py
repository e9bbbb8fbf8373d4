"""Edits that make a model forget, and one that plants what shall be forgotten."""

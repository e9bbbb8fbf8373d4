"""Edits of units, heads and what they write."""

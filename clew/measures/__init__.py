"""Measures of claims, each returns a Report; the room is the type of the claim."""

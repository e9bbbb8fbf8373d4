"""Circuits in the formats of others."""

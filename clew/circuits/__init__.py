"""Circuits: scored units, the edges between them, their labels, and where all of it came from."""

"""Experiments composed of the verbs; they print nothing."""

"""Circuits carried from one model to another."""

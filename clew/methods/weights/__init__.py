"""Scores read off weights or attention patterns."""

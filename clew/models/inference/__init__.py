"""Inference: the record of a model that nobody has written one for, read off a few short passes."""

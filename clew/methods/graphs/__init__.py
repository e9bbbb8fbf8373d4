"""Graphs of one prompt: what reaches its logits, what its attention looks for."""

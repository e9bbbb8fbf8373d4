"""Nodes of any lens, scored by gradients or by patching."""

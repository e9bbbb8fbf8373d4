"""Nodes of any view, scored by gradients or by patching."""

"""Edges between nodes: of features, and of components in the component graph."""

"""Masks over nodes or edges, learned."""

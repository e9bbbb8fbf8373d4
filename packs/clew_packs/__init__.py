"""Dictionaries for clew, nothing but data: each folder here that holds safetensors is a pack of that name."""

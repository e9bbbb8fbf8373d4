"""A saved result made again from its record, and what of it agrees, number by number."""

"""Ways to find a circuit, one file each; each returns a Circuit."""

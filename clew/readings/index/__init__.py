"""The index of a text: where every unit of some dictionaries fires in it, made in one pass, read in microseconds."""

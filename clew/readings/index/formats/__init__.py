"""Indices in files of others. Each format has `matches(path)`, `read(path)` -> Found and `write(index, folder, sites)`."""

"""Ways to choose nodes or edges of a scored circuit, one file each."""

"""Ways to fit a probe to evidence, one file each; each returns a Probe."""

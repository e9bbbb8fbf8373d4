"""The studio: a server on this machine, by which a browser looks into a folder of results and runs models."""

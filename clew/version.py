"""The version, in its one place: the distribution, provenance and `clew --version` read it here, CITATION.cff is tested."""

VERSION = "0.2.0"

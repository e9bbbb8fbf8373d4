"""Naming units: one file per explainer; each returns the circuit with labels or details added."""

"""One file per family, named by the `model_type` of its config; each holds one `ARCHITECTURE` record."""

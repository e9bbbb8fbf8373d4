"""Every search on every unit of a model, measured alike, with what it cost."""

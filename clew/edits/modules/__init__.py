"""Edits of modules that clew does not open: text encoders, cross-attentions. Called directly, with the module first."""

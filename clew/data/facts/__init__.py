"""Facts to edit and secrets to forget."""

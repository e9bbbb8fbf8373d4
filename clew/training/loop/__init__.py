"""The loop: batches, Adam, checkpoints, and what may be told of a run."""

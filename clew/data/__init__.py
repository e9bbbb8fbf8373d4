"""What a model is asked: behaviours, their metrics, and where they are read from."""

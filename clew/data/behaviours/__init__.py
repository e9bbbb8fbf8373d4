"""Behaviours: pairs of prompts and a metric that says how much of the behaviour is there."""

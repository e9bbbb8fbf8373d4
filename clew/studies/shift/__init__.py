"""SHIFT and what it is compared with, in one table."""

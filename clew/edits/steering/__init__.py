"""Edits that push what flows along a direction."""

"""Explanations of many units, made in many places."""

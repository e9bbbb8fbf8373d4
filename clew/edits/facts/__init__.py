"""Edits that make a model say another fact."""

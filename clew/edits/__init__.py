"""Edits computed from evidence: one file per way to compute one, each returns a Stack."""

from clew.edits._target import Descent as Descent

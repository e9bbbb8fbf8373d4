"""Fitting dictionaries to activations: one loop, one file per objective."""

from clew.training.itda import itda as itda
from clew.training.topk import topk as topk

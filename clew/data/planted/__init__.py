"""Models whose circuits are known: their weights were written by hand."""

from clew.data.planted._compile import Planted as Planted
from clew.data.planted.induction import induction as induction
from clew.data.planted.ioi import ioi as ioi

"""Learning dictionaries: one loop, one file per objective."""

from clew.training.loop.loop import train as train
from clew.training.loop.trackers import tracker as tracker
from clew.training.objective import Objective as Objective
from clew.training.plan import Plan as Plan

"""Learning dictionaries: one loop, one file per objective."""

from clew.training._loop import train as train
from clew.training._objective import Objective as Objective
from clew.training._plan import Plan as Plan
from clew.training._trackers import tracker as tracker

"""Opening a model and running it: the only room that touches torch hooks."""

from clew.models.model import Generation as Generation
from clew.models.model import Model as Model
from clew.models.open import open_model as open_model
from clew.models.trace import EditDidNotFire as EditDidNotFire
from clew.models.trace import Receipt as Receipt
from clew.models.trace import Trace as Trace

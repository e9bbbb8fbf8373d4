"""Ways to find a circuit, one file each; each returns a Circuit."""

from clew.methods._masks import Price as Price
from clew.methods._masks import Schedule as Schedule

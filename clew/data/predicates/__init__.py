"""Predicates of text: what can be said of a token, executed and worded; a rule is a short list of them."""

from clew.data.predicates.predicate import Predicate as Predicate
from clew.data.predicates.rule import Clause as Clause
from clew.data.predicates.rule import Rule as Rule
from clew.data.predicates.table import Table as Table

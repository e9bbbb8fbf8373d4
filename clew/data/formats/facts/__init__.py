"""Files of facts, one layout each: `matches(value)` and `read(value, *, name, seed, template)` of parsed JSON.

`read` returns (name, facts, note). A KeyError says which entry is not there; `Facts.load` names the file.
"""

"""Files of facts, one layout each: `matches(value)` and `read(value, *, name, seed, template)` of parsed JSON.

`read` returns (name, facts, note). Its errors need not name the file: `Facts.load` does.
"""

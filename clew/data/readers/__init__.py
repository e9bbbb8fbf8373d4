"""One file per family of behaviours, made from our own templates and words.

A family `foo` is the file foo.py: `VARIANTS`, which maps each variant to a line about it ("" for the family's bare
name), and a function `foo(variant, *, model=None, n=200, seed=0) -> Behaviour`.
"""

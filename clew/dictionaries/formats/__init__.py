"""Published on-disk formats, one file each: `matches`, `read` and, where we write it, `write`.

`matches(path)` says whether a file or folder looks like this format, from its file names and at most a header or a
config, never a tensor; of every file one format alone may say so (tests/dictionaries/formats/test_one_format.py).
`read(path, at)` returns its dictionaries; `at` is the pair of sites that the user gave, or None.
A ValueError from `read` need not name `path`: `clew.dictionaries.loading` does.
"""

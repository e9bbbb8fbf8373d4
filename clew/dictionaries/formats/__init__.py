"""Published on-disk formats, one file each: `matches`, `read` and, where we write it, `write`.

`matches(path)` says whether a file or folder looks like this format, from its file names alone.
`read(path, at)` returns its dictionaries; `at` is the pair of sites that the user gave, or None.
A ValueError from `read` need not name `path`: `clew.dictionaries.loading` does.
"""

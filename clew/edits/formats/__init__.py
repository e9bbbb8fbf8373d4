"""Vector files of other tools, one file each: `matches`, `read` and `write`.

`matches(path)` says whether a file looks like this format, from its head and never from a tensor. `read(path, model)` returns
a Stack; with a model it checks that the vectors fit. `write(stack, path, model)` writes one that reads back bit for bit, or
refuses in a sentence what such a file cannot say (gates, positions, other verbs than Add, updates of weights).

What the two formats mean by a layer N is the same as ours: the vector is added to the output of block N, counted from 0, at
every position; that is `resid.N`. The list of hidden states that transformers returns begins with the embeddings, so that the
output of block N is its entry N + 1: that is the commonest off-by-one, and neither format makes it.
"""

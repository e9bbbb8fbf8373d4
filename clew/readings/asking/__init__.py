"""Asking a language model: an endpoint or a module in this process, with a cache and a count of what it cost."""

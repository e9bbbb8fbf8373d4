"""A circuit as one self-contained web page."""

from clew.apps.page.page import page

__all__ = ["page"]

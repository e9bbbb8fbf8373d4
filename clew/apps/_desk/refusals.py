"""What the desk refuses, by the reason: whoever passes a refusal on knows what kind it is. Each is a sentence for people."""

from __future__ import annotations


class NotHere(ValueError):
    """There is nothing of that name, path or handle."""


class NotAllowed(ValueError):
    """A place outside the folder, or a model that was not allowed when the studio was started."""


class Changed(ValueError):
    """The file is not the one that was read: somebody has written it since."""


class TooBusy(ValueError):
    """As many calls wait for a model, or as many runs for their turn, as are let wait."""


class TooLarge(ValueError):
    """A file, a text or a circuit beyond what is looked at."""

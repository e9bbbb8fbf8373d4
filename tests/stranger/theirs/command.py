"""A command."""


def their_greeting(name: str = "you", /) -> None:
    """Say hello.

    Parameters
    ----------
    name
        To whom.
    """
    print(f"hello, {name}")

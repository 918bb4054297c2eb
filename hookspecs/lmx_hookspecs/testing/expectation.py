"""How a check says no."""


def expect(condition: bool, message: str) -> None:
    """Raise AssertionError with the message unless the condition holds, with `python -O` too."""
    if not condition:
        raise AssertionError(message)

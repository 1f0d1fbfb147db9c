"""stub"""


def stratify() -> None:
    """Stub."""

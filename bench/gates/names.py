"""Gates that go by two names, since people type both."""

OTHER_NAMES = {"gate": "accuracy", "sync": "syncs"}


def gate_name(name: str) -> str:
    """The name in reports, for either of a gate's; any other text as it is."""
    return OTHER_NAMES.get(name, name)

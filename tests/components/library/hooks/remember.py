"""The hook remember: after newBook."""

#: The positions of the books that came, for tests.
REMEMBERED = []


def remember(ctx, event):
    """Note that the event was handled."""
    REMEMBERED.append(event.position)

"""The handler trouble, for trouble.made."""

from pathlib import Path


def trouble(ctx, event):
    """Fail as long as the file that the event names is not there; then note the event in it."""
    with Path(event.payload["path"]).open("r+") as file:
        file.seek(0, 2)
        file.write(f"{event.position}\n")

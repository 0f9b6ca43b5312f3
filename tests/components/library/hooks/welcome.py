"""The hook welcome: after addBook."""


def welcome(ctx, result):
    """Announce what else a new book of drama means: a second event of the same command."""
    if result["genre"] == "DRAMA":
        ctx.emit("drama.added", {"id": result["id"]})

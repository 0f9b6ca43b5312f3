"""The mutation deleteClass."""

from grouping.rules import existing


def delete_class(ctx, id):
    """Announce that a class is no more."""
    deleted = existing(ctx, "Class", id)
    ctx.emit("class.deleted", {"id": id})
    return deleted

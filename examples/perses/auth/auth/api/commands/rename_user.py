"""The mutation renameUser."""

from byron.exceptions import CommandError


def rename_user(ctx, id, name):
    """Announce the user's new name."""
    user = ctx.db.User.objects.filter(pk=id).first()
    if user is None:
        raise CommandError(f"There is no user {id!r}.", code="NOT_FOUND")
    user.name = name
    ctx.emit("user.renamed", {"id": id, "name": name})
    return user

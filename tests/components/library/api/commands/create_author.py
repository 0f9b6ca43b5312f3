"""The mutation createAuthor."""

from byron.exceptions import CommandError


def create_author(ctx, full_name, born_on):
    """Make a Author and announce it; the Sink stores it when new.author arrives."""
    if ctx.db.Author.objects.filter(full_name=full_name).exists():
        raise CommandError(f"Author with fullName {full_name!r} already exists.", code="CONFLICT")
    author = {
        "id": ctx.uuid(),
        "full_name": full_name,
        "born_on": born_on,
    }
    ctx.emit("new.author", author)
    return author

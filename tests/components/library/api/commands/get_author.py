"""The query getAuthor."""


def get_author(ctx, id):
    """Return the Author with this id, or None."""
    return ctx.db.Author.objects.filter(pk=id).first()

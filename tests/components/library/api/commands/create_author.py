"""The mutation createAuthor."""


def create_author(ctx, full_name, born_on):
    """Make a Author and announce it; the Sink stores it when new.author arrives."""
    ctx.claim("Author.fullName", full_name)
    author = {
        "id": ctx.uuid(),
        "full_name": full_name,
        "born_on": born_on,
    }
    ctx.emit("new.author", author)
    return author

"""The mutation closeLibrary."""


def close_library(ctx, nested, genre, info, root):
    """Misbehave as the genre says, or tell whether there is anything nested."""
    if genre == "POETRY":
        raise RuntimeError("the poets' password is 'secret'")
    if genre == "DRAMA":
        ctx.emit("library.closed", {"id": "library"})
        ctx.db.Book.objects.all().delete()
    return (nested["items"], info, root) == ([1, 2], "i", "r")

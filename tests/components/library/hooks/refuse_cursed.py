"""The hook refuseCursed: before newBook."""


def refuse_cursed(ctx, event):
    """Fail for one title, as a handler's own code may."""
    if event.payload["title"] == "cursed":
        raise RuntimeError("this book is cursed")

"""The handler newAuthor, for new.author."""


def new_author(ctx, event):
    """Store the Author that the event announces."""
    ctx.db.Author.objects.create(**event.payload)

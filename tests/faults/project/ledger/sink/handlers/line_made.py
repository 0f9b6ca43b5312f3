"""The handler lineMade: what most handlers do."""


def line_made(ctx, event):
    """Store the line; a second time there would be an error."""
    ctx.db.Line.objects.create(**event.payload)

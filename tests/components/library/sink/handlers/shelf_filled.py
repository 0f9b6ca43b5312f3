"""Handle shelf.filled."""


def shelf_filled(ctx, event):
    ctx.db.Shelf.objects.filter(pk=event.key).update(count=event.payload["count"])

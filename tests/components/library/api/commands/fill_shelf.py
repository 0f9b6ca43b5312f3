"""The mutation fillShelf: what it emits is computed from what it reads."""


def fill_shelf(ctx, id, by):
    shelf = ctx.db.Shelf.objects.filter(pk=id).first()
    if shelf is None:
        return None
    shelf.count += by
    if by:
        ctx.emit("shelf.filled", {"id": id, "count": shelf.count})
    return shelf

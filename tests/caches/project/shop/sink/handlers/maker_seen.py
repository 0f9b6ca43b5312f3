"""React to `maker.seen` as people do who write handlers: by what Django offers."""

from django.db.models import F
from django.utils.dateparse import parse_datetime


def maker_seen(ctx, event):
    identity, moment = event.payload["id"], event.payload.get("last")
    last = parse_datetime(moment) if moment else None
    changed = ctx.db.Maker.objects.filter(pk=identity).update(seen=F("seen") + 1, last=last)
    if not changed:
        ctx.db.Maker.objects.create(id=identity, name=event.payload["name"], seen=1, last=last)
    row = ctx.db.Maker.objects.select_for_update().get(pk=identity)
    if row.seen % 2:
        row.town = f"{row.town or ''}%{row.seen}_"
        row.save()
    if event.payload.get("fails"):
        raise RuntimeError(f"{identity} is not to be seen")

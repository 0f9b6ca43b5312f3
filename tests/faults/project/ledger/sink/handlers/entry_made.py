"""The handler entryMade: adds up instead of just storing, so that what comes twice or out of order shows."""

from django.db.models import F


def entry_made(ctx, event):
    """Store the entry, which fails a second time, and add it to its account, whose entries are numbered."""
    entry = event.payload
    name, amount, number = entry["account"], entry["amount"], entry["number"]
    account = ctx.db.Account.objects.filter(id=name)
    next_one = {"total": F("total") + amount, "last": number}
    if not (
        account.filter(last=number - 1).update(**next_one) or account.update(**next_one, disorder=F("disorder") + 1)
    ):
        ctx.db.Account.objects.create(id=name, total=amount, last=number, disorder=int(number != 1))
    ctx.db.Entry.objects.create(id=entry["id"], account=name, note=entry.get("note"))

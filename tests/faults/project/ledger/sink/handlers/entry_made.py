"""The handler entryMade: counts instead of just storing, so that what comes twice or out of order shows."""

from django.db import connections

_ENTRY = "UPDATE ledger_entry SET applied = applied + 1 WHERE id = %s"

_ACCOUNT = """
    INSERT INTO ledger_account (id, total, last, disorder) VALUES (%s, %s, %s, %s)
    ON CONFLICT (id) DO UPDATE SET
        total = ledger_account.total + excluded.total,
        disorder = ledger_account.disorder + CASE WHEN ledger_account.last = excluded.last - 1 THEN 0 ELSE 1 END,
        last = excluded.last
"""


def entry_made(ctx, event):
    """Count the entry as applied, and add it to its account, whose entries are numbered."""
    entry = event.payload
    account = [entry["account"], entry["amount"], entry["number"], int(entry["number"] != 1)]
    # Statements of its own: thousands of entries are to take seconds, and what is tested is around them.
    with connections[ctx.config.alias].cursor() as cursor:
        cursor.execute(_ACCOUNT, account)
        cursor.execute(_ENTRY, [entry["id"]])
        if cursor.rowcount:
            return
    ctx.db.Entry.objects.create(id=entry["id"], account=entry["account"], note=entry.get("note"), applied=1)

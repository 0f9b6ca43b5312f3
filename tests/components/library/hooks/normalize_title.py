"""The hook normalizeTitle: before addBook."""

from byron.exceptions import CommandError


def normalize_title(ctx, arguments):
    """Trim the title, and refuse an empty one."""
    arguments["data"]["title"] = arguments["data"]["title"].strip()
    if not arguments["data"]["title"]:
        raise CommandError("A book needs a title.", code="NO_TITLE")

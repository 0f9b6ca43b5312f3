"""The hook tidyName: before createUser and renameUser."""

from byron.exceptions import CommandError


def tidy_name(ctx, arguments):
    """Keep one space between the words of a name, and refuse one without any."""
    given = arguments.get("data", arguments)
    given["name"] = " ".join(given["name"].split())
    if not given["name"]:
        raise CommandError("A user has a name; this one is empty.", code="BAD_NAME")

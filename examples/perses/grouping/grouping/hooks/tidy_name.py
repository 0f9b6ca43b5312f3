"""The hook tidyName: before createSchool, renameSchool and createClass."""

from byron.exceptions import CommandError


def tidy_name(ctx, arguments):
    """Keep one space between the words of a name, and refuse one without any."""
    given = arguments.get("data", arguments)
    given["name"] = " ".join(given["name"].split())
    if not given["name"]:
        raise CommandError("Schools and classes have names; this one is empty.", code="BAD_NAME")

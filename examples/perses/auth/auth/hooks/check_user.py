"""The hook checkUser: before createUser."""

from byron.exceptions import CommandError


def check_user(ctx, arguments):
    """Keep addresses in lower case, so that one is taken once, and let nobody begin as a coordinator."""
    data = arguments["data"]
    data["email"] = data["email"].strip().lower()
    local, at, domain = data["email"].partition("@")
    if not (local and at and domain) or " " in data["email"]:
        raise CommandError(f"{data['email']!r} is not an e-mail address.", code="BAD_EMAIL")
    if data["role"] == "COORDINATOR":
        message = "Nobody begins as a coordinator: create a teacher, and then a school that the teacher coordinates."
        raise CommandError(message, code="WRONG_ROLE")

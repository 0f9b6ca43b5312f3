"""What several commands hold to: who is known, what there is, which names are taken."""

from byron.exceptions import CommandError


def user_with_role(ctx, id, *roles):
    """Return a user who has one of these roles. Raises CommandError when nobody is known by the id, or as another."""
    user = ctx.db.User.objects.filter(pk=id).first()
    if user is None:
        message = (
            f"Grouping does not know the user {id!r}. A user that Auth has just created may not have arrived yet: "
            "try again in a moment. Otherwise check the id."
        )
        raise CommandError(message, code="UNKNOWN_USER")
    if user.role not in roles:
        message = f"{user.name} ({id}) is {user.role}, and only {' or '.join(roles)} will do here."
        raise CommandError(message, code="WRONG_ROLE")
    return user


def existing(ctx, kind, id):
    """Return the entity of a type with this id. Raises CommandError when there is none."""
    entity = getattr(ctx.db, kind).objects.filter(pk=id).first()
    if entity is None:
        message = f"There is no {kind} {id!r}. One that has just been made may not be here yet: try again in a moment."
        raise CommandError(message, code="NOT_FOUND")
    return entity


def refuse_taken(others, name):
    """Raise CommandError when one of these entities has the name."""
    if others.filter(name=name).exists():
        raise CommandError(f"{others.model.__name__} with name {name!r} already exists.", code="CONFLICT")

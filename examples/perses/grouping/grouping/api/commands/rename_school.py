"""The mutation renameSchool."""

from grouping.rules import existing, refuse_taken


def rename_school(ctx, id, name):
    """Announce the school's new name."""
    school = existing(ctx, "School", id)
    refuse_taken(ctx.db.School.objects.exclude(pk=id), name)
    school.name = name
    ctx.emit("school.renamed", {"id": id, "name": name})
    return school

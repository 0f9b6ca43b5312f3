"""The mutation createClass."""

from grouping.rules import existing, refuse_taken, user_with_role


def create_class(ctx, data, school_id, teacher_id):
    """Announce a class of a school, whose name no other class of that school has."""
    existing(ctx, "School", school_id)
    user_with_role(ctx, teacher_id, "TEACHER", "COORDINATOR")
    students = list(dict.fromkeys(data.get("students") or []))
    for student in students:
        user_with_role(ctx, student, "STUDENT")
    refuse_taken(ctx.db.Class.objects.filter(school=school_id), data["name"])
    made = {
        "id": ctx.uuid(),
        "name": data["name"],
        "school": school_id,
        "teacher": teacher_id,
        "students": students,
    }
    ctx.emit("new.class", made)
    return made

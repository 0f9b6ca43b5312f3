"""The mutation enrollStudent."""

from byron.exceptions import CommandError

from grouping.rules import existing, user_with_role


def enroll_student(ctx, class_id, student_id):
    """Announce that a student joins a class. Not the whole list: two who join at once would undo one another."""
    joined = existing(ctx, "Class", class_id)
    student = user_with_role(ctx, student_id, "STUDENT")
    if student_id in joined.students:
        raise CommandError(f"{student.name} ({student_id}) is in {joined.name} already.", code="CONFLICT")
    joined.students.append(student_id)
    ctx.emit("student.enrolled", {"id": class_id, "student": student_id})
    return joined

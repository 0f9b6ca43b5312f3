"""The mutation createStudent."""

from byron.exceptions import CommandError


def create_student(ctx, name, course, ingress):
    """Announce a new student, whose name no other student has."""
    if ctx.db.Student.objects.filter(name=name).exists():
        raise CommandError(f"Student with name {name!r} already exists.", code="CONFLICT")
    student = {"id": ctx.uuid(), "name": name, "course": course, "ingress": ingress}
    ctx.emit("new.student", student)
    return student

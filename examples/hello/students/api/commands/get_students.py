"""The query getStudents."""


def get_students(ctx):
    """Return the first hundred."""
    return ctx.db.Student.objects.order_by("id")[:100]

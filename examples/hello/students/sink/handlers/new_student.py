"""The handler newStudent, for new.student."""


def new_student(ctx, event):
    """Store the Student that the event announces."""
    ctx.db.Student.objects.create(**event.payload)

"""The handler studentEnrolled, for student.enrolled."""


def student_enrolled(ctx, event):
    """Add the student to the class's list, once."""
    joined = ctx.db.Class.objects.select_for_update().filter(pk=event.payload["id"]).first()
    if joined is None:
        ctx.log.info("class deleted meanwhile id=%s student=%s", event.payload["id"], event.payload["student"])
    elif event.payload["student"] not in joined.students:
        joined.students.append(event.payload["student"])
        joined.save(update_fields=["students"])

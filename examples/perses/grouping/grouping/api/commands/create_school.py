"""The mutation createSchool."""

from grouping.rules import refuse_taken, user_with_role


def create_school(ctx, data, user_id):
    """Announce the school, and that its coordinator is one from now on: Auth and Grouping both hear of that."""
    coordinator = user_with_role(ctx, user_id, "TEACHER", "COORDINATOR")
    refuse_taken(ctx.db.School.objects, data["name"])
    school = {"id": ctx.uuid(), "name": data["name"], "coordinator": user_id}
    ctx.emit("new.school", school)
    ctx.emit("update.role", {"id": user_id, "role": "COORDINATOR"})
    coordinator.role = "COORDINATOR"
    return {**school, "coordinator": coordinator}

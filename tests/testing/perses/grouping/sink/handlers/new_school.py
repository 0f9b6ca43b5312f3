def new_school(ctx, event):
    ctx.db.School.objects.create(**event.payload)
    ctx.emit("update.role", {"id": event.payload["coordinator"], "role": "COORDINATOR"})

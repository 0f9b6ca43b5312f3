def answer_given(ctx, event):
    ctx.emit("question.asked", event.payload)

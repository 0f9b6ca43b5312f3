def question_asked(ctx, event):
    ctx.emit("answer.given", event.payload)

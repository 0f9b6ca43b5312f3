def trouble_made(ctx, event):
    raise ValueError("No shelf is left.")

"""The query howMany."""


async def how_many(ctx):
    """Count the books; asynchronously, as a command may be."""
    return await ctx.db.Book.objects.acount()

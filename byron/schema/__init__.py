"""schema.yaml: what a component is. `byron.schema.reader` is the way in.

Nothing is imported here: a process that only watches files needs a name or two of this package, and not
the model, which costs more to load than Django.
"""

"""A Django database engine for Caches on MongoDB: django-mongodb-backend, with what a Cache needs and that one lacks.

That is: transactions by `django.db.transaction.atomic`, with the checkpoint in the transaction of the effect; rows
that `select_for_update` holds; created rows that replace others; moments to the microsecond, decimals and JSON as they
were written; and connections that only read.
"""

"""What the engine can do."""

from __future__ import annotations

from django_mongodb_backend import features


class DatabaseFeatures(features.DatabaseFeatures):
    supports_transactions = True
    #: MongoDB has none. A failure inside a nested `atomic` undoes the outermost one.
    uses_savepoints = False
    has_select_for_update = True
    supports_ignore_conflicts = True
    supports_update_conflicts = True
    supports_update_conflicts_with_target = True
    supports_microsecond_precision = True

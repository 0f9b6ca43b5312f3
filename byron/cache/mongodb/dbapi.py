"""PyMongo's errors by the names under which Django looks for a driver's."""

from __future__ import annotations

from bson import Binary
from bson.errors import BSONError
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError

__all__ = [
    "Binary",
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
]


class _NeverRaised(Exception):
    """What stands for the kinds that PyMongo does not tell apart."""


DataError = BSONError
OperationalError = ConnectionFailure
IntegrityError = DuplicateKeyError
DatabaseError = Error = PyMongoError
InterfaceError = InternalError = NotSupportedError = ProgrammingError = _NeverRaised

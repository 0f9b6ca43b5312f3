"""The example's settings, as in production but for introspection, with which the audit asks its questions."""

from config.settings import *  # noqa: F403

BYRON_API_INTROSPECTION = True

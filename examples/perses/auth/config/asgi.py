"""The API, for a ASGI server."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# An API reads the Cache and never writes it.
os.environ.setdefault("BYRON_ROLE", "api")

application = get_asgi_application()

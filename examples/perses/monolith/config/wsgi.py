"""The API, for a WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# An API reads the Cache and never writes it.
os.environ.setdefault("BYRON_ROLE", "api")

application = get_wsgi_application()

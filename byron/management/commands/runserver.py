"""`runserver`: Django's development server, as a component's API."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.management.commands.runserver import Command as DjangoRunserver
from django.core.management import CommandError
from django.core.servers.basehttp import WSGIRequestHandler

from byron.cache.roles import Role
from byron.management.preparation import prepare


class Command(DjangoRunserver):
    help = "Serve the API of this project's components, for development."

    def inner_run(self, *args: Any, **options: Any) -> None:
        # Here and not in handle(): the autoreloader's parent process only watches.
        try:
            prepare(Role.API)
        except CommandError as error:
            if not options["use_reloader"]:
                raise
            # The autoreloader would show how Python came to it. It waits for a change, as it does after other mistakes.
            self.stderr.write(f"CommandError: {error}")
            return
        # It sends headers and body apart, and on a connection that is kept the body would wait for 40 ms.
        WSGIRequestHandler.disable_nagle_algorithm = True
        if "byron.api.middleware.RequestMiddleware" in settings.MIDDLEWARE:
            # Which logs each request already, with its id and how long it took. A filter outlasts the second
            # `django.setup()`, that of config/wsgi.py.
            logging.getLogger("django.server").addFilter(lambda record: False)
        super().inner_run(*args, **options)

    def check_migrations(self) -> None:
        """Leave it to `prepare`, which knows the Caches."""

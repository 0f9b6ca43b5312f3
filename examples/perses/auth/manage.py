#!/usr/bin/env python
"""Run this project's commands: `python manage.py help`."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        remedy = "For development: cp .env.example .env, which tells what the environment may hold, too."
        sys.exit(f"{error}\n{remedy} (--traceback shows where it is read.)")

#!/usr/bin/env python
"""Run the commands of the repository's own Hello component, which is in examples/hello."""

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent / "examples" / "hello"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("DEBUG", "true")
    execute_from_command_line(sys.argv)

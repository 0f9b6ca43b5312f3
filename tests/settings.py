"""Settings of Byron's own tests: a project with two components, of two systems."""

import os
import sys
import tempfile
from pathlib import Path

from byron.project import cache_databases

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "components"), str(ROOT / "examples" / "hello")]

COMPONENTS = ["library", "students"]

SECRET_KEY = "tests only"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
INSTALLED_APPS = ["byron", *COMPONENTS, "graphene_django_graphiql_static", "django.contrib.staticfiles"]
DATABASES = {"default": {}} | cache_databases(COMPONENTS, ROOT / "tests")
# A file: connections to one database in memory lock each other out at once, where a Sink's threads would wait.
DATABASES["library"]["TEST"]["NAME"] = str(Path(tempfile.gettempdir()) / f"byron-tests-{os.getpid()}.sqlite3")
DATABASE_ROUTERS = ["byron.cache.routers.CacheRouter"]
MIDDLEWARE = ["byron.api.errors.JSONErrorMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "byron.api.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"

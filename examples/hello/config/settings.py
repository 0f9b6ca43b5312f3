"""Settings of this project. Everything that differs between places comes from the environment, or from `.env`."""

from pathlib import Path

import environ
from byron.project import cache_databases, find_components

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)
# Nothing is signed with this key in development; elsewhere the environment must give one.
SECRET_KEY = env.str("SECRET_KEY", default="insecure-development-key") if DEBUG else env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])

# Every folder here with a schema.yaml is a component. The first one answers at /graphql/, each at /<folder>/graphql/.
COMPONENTS = find_components(BASE_DIR, first="students")

INSTALLED_APPS = [
    "byron",
    *COMPONENTS,
    "graphene_django_graphiql_static",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "byron.api.errors.JSONErrorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"

# Each component has a Cache of its own, by CACHE_URL or <COMPONENT>_CACHE_URL; a SQLite file without. It is
# disposable: the event log can always fill it again.
DATABASES = {"default": {}} | cache_databases(COMPONENTS, BASE_DIR)
DATABASE_ROUTERS = ["byron.cache.routers.CacheRouter"]

# The event log. Empty in development: a broker is started here, one for each namespace.
BYRON_BROKER_URL = env.str("BYRON_BROKER_URL", default="")

USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    # Django's own handler would print each of its lines a second time.
    "loggers": {"django": {"handlers": [], "level": "INFO"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}

"""Settings of this project. Everything that differs between places comes from the environment, or from `.env`."""

from pathlib import Path

import environ
from byron.project import cache_databases, find_components, require_extra

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
    "byron.api.middleware.RequestMiddleware",
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
# Servers of a cluster that keep the log, from when it is created on: 3 in production.
BYRON_BROKER_REPLICAS = env.int("BYRON_BROKER_REPLICAS", default=1)
# As whom, where the address does not say it, and who vouches for the broker: see `byron infrastructure config`.
BYRON_BROKER_CREDENTIALS = env.str("BYRON_BROKER_CREDENTIALS", default="")
BYRON_BROKER_API = env.str("BYRON_BROKER_API", default="")
BYRON_BROKER_CA = env.str("BYRON_BROKER_CA", default="")
# Events of different keys are applied side by side in so many lanes, which several runsink processes share.
BYRON_SINK_LANES = env.int("BYRON_SINK_LANES", default=1)

# What receipts are signed with: the same for all components of a system, so that each takes the others'.
BYRON_RECEIPT_KEY = env.str("BYRON_RECEIPT_KEY", default="")

# Who is asking. Keys of a JWKS file or https:// address; tokens must be made for this audience, by this issuer.
BYRON_JWT_KEYS = env.str("BYRON_JWT_KEYS", default="")
BYRON_JWT_AUDIENCE = env.str("BYRON_JWT_AUDIENCE", default="")
BYRON_JWT_ISSUER = env.str("BYRON_JWT_ISSUER", default="")
BYRON_JWT_ROLES_CLAIM = env.str("BYRON_JWT_ROLES_CLAIM", default="roles")

# Browsers may call the API from pages of these origins only, such as https://app.example.org; needs the extra `cors`.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
if CORS_ALLOWED_ORIGINS:
    require_extra("cors", "corsheaders", setting="CORS_ALLOWED_ORIGINS")
    INSTALLED_APPS += ["corsheaders"]
    # Outside of JSONErrorMiddleware: a page of another origin is to read refusals, too.
    MIDDLEWARE.insert(1, "corsheaders.middleware.CorsMiddleware")
    CORS_ALLOW_METHODS = ["GET", "POST", "OPTIONS"]
    CORS_ALLOW_HEADERS = [
        "accept",
        "authorization",
        "byron-after",
        "byron-consistency",
        "content-type",
        "idempotency-key",
        "traceparent",
        "x-correlation-id",
        "x-request-id",
    ]
    CORS_EXPOSE_HEADERS = ["byron-receipt", "idempotency-replayed", "retry-after", "www-authenticate", "x-request-id"]

# TLS ends at a proxy. Only one that always sets X-Forwarded-Proto itself may be trusted with it.
if env.bool("TRUST_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=False)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if DEBUG else 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SILENCED_SYSTEM_CHECKS = [
    # CSRF tokens protect cookies: this API has none, and takes JSON only, which forms cannot send.
    "security.W003",
    # Other hosts below this one, and browsers' preload lists, are not for one component to decide.
    "security.W005",
    "security.W021",
    # A redirect comes too late for a request that carried a token, and turns POST into GET: the proxy is to refuse
    # plain http. Probes and the proxy itself use it.
    "security.W008",
]

USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "byron.api.middleware.RequestIdFilter"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s%(in_request)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request"]}},
    "loggers": {
        # Django's own handler would print each of its lines a second time.
        "django": {"handlers": [], "level": "INFO"},
        # What a client did wrong is in the access log; these lines would repeat it, without the request's id.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}

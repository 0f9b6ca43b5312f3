"""Settings of Byron's own tests: no project, no component."""

SECRET_KEY = "tests only"
DEBUG = False
USE_TZ = True
INSTALLED_APPS = ["byron"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "byron.api.urls"

"""The settings that the type checker reads: Byron alone, with no component."""

SECRET_KEY = "types only"
INSTALLED_APPS = ["byron"]

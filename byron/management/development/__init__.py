"""The development environment, `manage.py dev`, and its users' tokens."""

"""The API's server: `manage.py serve`."""

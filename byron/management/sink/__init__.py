"""What a running Sink tells of itself: `manage.py runsink`."""

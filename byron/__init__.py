"""Byron: a batteries-included framework for event-driven microservices."""

__version__ = "0.1.0"

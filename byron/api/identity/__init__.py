"""Who sends a request: a bearer token, and the keys that it is checked with."""

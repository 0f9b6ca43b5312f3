"""HTTP requests to what they ask, and answers to HTTP responses."""

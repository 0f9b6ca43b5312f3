"""The broker's users and certificates: `infrastructure config` and `prepare`."""

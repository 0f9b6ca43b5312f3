"""Tests of components: the `component` fixture, loaded by pytest from the `byron` plugin."""

"""The demo app's part ``job``."""

"""The demo app: job management of a small workshop."""

"""The demo app's part ``config``."""

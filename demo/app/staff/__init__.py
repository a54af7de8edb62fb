"""The demo app's part ``staff``."""

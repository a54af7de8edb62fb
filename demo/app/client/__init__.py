"""The demo app's part ``client``."""

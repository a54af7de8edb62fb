"""The demo app's part ``integration``."""

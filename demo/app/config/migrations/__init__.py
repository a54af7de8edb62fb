"""Migrations of ``config``."""

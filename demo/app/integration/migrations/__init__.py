"""Migrations of ``integration``."""

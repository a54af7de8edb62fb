"""Migrations of ``job``."""

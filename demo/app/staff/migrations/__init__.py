"""Migrations of ``staff``."""

"""Migrations of ``client``."""

"""Decide and carry out which client and job is which contact and project."""

"""Read-only verification of a refreshed and seeded database."""

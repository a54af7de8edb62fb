"""Stage, swap, roll back and finish: what pg_refresh does."""

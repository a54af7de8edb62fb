"""What a pg_dump archive says about itself."""

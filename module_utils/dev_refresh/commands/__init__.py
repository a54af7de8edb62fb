"""The app's own commands: migrations and what belongs to them."""

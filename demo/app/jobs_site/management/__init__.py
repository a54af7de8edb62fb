"""Management of the demo app."""

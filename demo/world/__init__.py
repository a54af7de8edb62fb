"""The demo's world: a PostgreSQL server, the sandbox, and the demo app's production dump."""

"""A local HTTP server that behaves like Xero: for the demo, for tests and for anybody who writes against Xero."""

"""The Python environment in which the modules run on a host."""

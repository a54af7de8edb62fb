"""Child processes with deadlines, and the watch over our parents."""

"""All that talks to Xero; the only package that imports xero_python."""

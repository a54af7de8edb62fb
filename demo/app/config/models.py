"""What can be switched while the app runs."""
from django.db import models


class Setting(models.Model):
    """A setting by its name; ``xero_sync_enabled`` says whether the app talks to Xero."""

    name = models.CharField(max_length=100, primary_key=True)
    value = models.TextField()

"""Access to other systems."""
from django.db import models


class Token(models.Model):
    """Tokens for one provider: as good as a password, so production's must never be in a dev database."""

    provider = models.CharField(max_length=50, primary_key=True)
    access_token = models.TextField()
    refresh_token = models.TextField()
    expires_at = models.DateTimeField()

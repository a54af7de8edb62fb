"""The workshop's jobs."""
import uuid

from client.models import Client
from django.conf import settings
from django.db import models


class Job(models.Model):
    """A piece of work for a client; a project in Xero."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job_number = models.IntegerField(unique=True)
    name = models.CharField(max_length=255)
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL)
    manager = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    status = models.CharField(max_length=30, default="quoting")
    delivery_date = models.DateField(null=True, blank=True)
    estimate = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    xero_project_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)


class Note(models.Model):
    """Something that was written down about a job."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE)
    text = models.TextField()
    is_pinned = models.BooleanField(default=False)
    written_at = models.DateTimeField(auto_now_add=True)

"""The workshop's people."""
import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Member(AbstractBaseUser):
    """Someone who works here and may log in."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=100)
    display_name = models.CharField(max_length=100, default="")
    wage_rate = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    started_on = models.DateField(null=True, blank=True)
    is_active = models.BooleanField(default=True)

    objects = BaseUserManager()
    USERNAME_FIELD = "email"

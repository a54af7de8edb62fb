"""Settings of the demo app: a workshop's job management. Everything that differs between hosts comes from the environment."""
import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only commands are run here, no site is served")
DEBUG = False
USE_TZ = True
TIME_ZONE = "Pacific/Auckland"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "jobs_site",
    "config",
    "integration",
    "staff",
    "client",
    "job",
]
AUTH_USER_MODEL = "staff.Member"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("DATABASE_NAME", ""),
        "HOST": os.environ.get("DATABASE_HOST", ""),
        "PORT": os.environ.get("DATABASE_PORT", ""),
        "USER": os.environ.get("DATABASE_USER", ""),
        "PASSWORD": os.environ.get("DATABASE_PASSWORD", ""),
    }
}

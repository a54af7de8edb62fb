"""Make a login for developers in a refreshed database, where nobody knows production's passwords."""
import os

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Make the login, or give it its password again."""

    help = "Make a developer's login; its password is taken from the environment variable DEV_LOGIN_PASSWORD"

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the login's e-mail address."""
        parser.add_argument("email")

    def handle(self, *args: object, **options: object) -> None:
        """Write the login."""
        password = os.environ.get("DEV_LOGIN_PASSWORD")
        if not password:
            raise CommandError("The environment variable DEV_LOGIN_PASSWORD is not set; set it to the login's password")
        member, made = get_user_model().objects.get_or_create(email=str(options["email"]), defaults={"name": "Developer", "display_name": "Developer"})
        member.set_password(password)
        member.save()
        self.stdout.write(f"{'Made' if made else 'Renewed'} the login {member.email}")

"""Print every migration of this checkout, without a database."""
from django.core.management.base import BaseCommand
from django.db.migrations.loader import MigrationLoader


class Command(BaseCommand):
    """Print ``app.name``, one migration a line, in alphabetical order."""

    help = "Print app.name of every migration of this checkout; needs no database"
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        """Print the migrations found on disk."""
        for app, name in sorted(MigrationLoader(None).disk_migrations):
            self.stdout.write(f"{app}.{name}")

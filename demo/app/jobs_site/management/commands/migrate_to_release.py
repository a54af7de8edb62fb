"""Bring the database to the revision of an older release."""
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

RELEASES = {
    "2026.1": {"config": "0001_initial", "integration": "0001_initial", "staff": "0001_initial", "client": "0002_client_address", "job": "0001_initial"},
}
"""The last migration of each app in a release; what is newer than the newest of these is on its way to production."""


class Command(BaseCommand):
    """Migrate every app to where it was in a release."""

    help = "Bring the database to the revision of an older release"
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name of the release."""
        parser.add_argument("release", choices=RELEASES)

    def handle(self, *args: object, **options: object) -> None:
        """Apply the migrations that the release had."""
        release = RELEASES[str(options["release"])]
        executor = MigrationExecutor(connection)
        libraries = [leaf for leaf in executor.loader.graph.leaf_nodes() if leaf[0] not in release]
        executor.migrate([*libraries, *release.items()])

"""How long a quote holds became a setting."""
from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def add(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Write the number of days that was fixed until now."""
    apps.get_model("config", "Setting").objects.get_or_create(name="quote_days", defaults={"value": "30"})


class Migration(migrations.Migration):
    """Add the setting."""

    dependencies = [("config", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]

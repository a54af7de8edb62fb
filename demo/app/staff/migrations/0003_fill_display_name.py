"""Who has not chosen yet is shown by the first name."""
from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Set the display name of everyone who has none."""
    members = apps.get_model("staff", "Member").objects
    for member in members.filter(display_name=""):
        member.display_name = member.name.split(" ", 1)[0]
        member.save(update_fields=["display_name"])


class Migration(migrations.Migration):
    """Fill the new column."""

    dependencies = [("staff", "0002_member_display_name_member_started_on")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]

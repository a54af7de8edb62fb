"""People are shown by a name of their own choice."""
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the columns."""

    dependencies = [("staff", "0001_initial")]
    operations = [
        migrations.AddField(model_name="member", name="display_name", field=models.CharField(default="", max_length=100)),
        migrations.AddField(model_name="member", name="started_on", field=models.DateField(blank=True, null=True)),
    ]

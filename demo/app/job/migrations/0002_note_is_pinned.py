"""A note can be kept on top."""
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the column."""

    dependencies = [("job", "0001_initial")]
    operations = [
        migrations.AddField(model_name="note", name="is_pinned", field=models.BooleanField(default=False)),
    ]

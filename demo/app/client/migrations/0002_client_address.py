"""Clients got an address."""
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the column."""

    dependencies = [("client", "0001_initial")]
    operations = [
        migrations.AddField(model_name="client", name="address", field=models.TextField(blank=True, null=True)),
    ]

# ruff: noqa: RUF012
import byron.cache.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("role", models.CharField(db_index=True, max_length=60)),
            ],
        ),
        migrations.CreateModel(
            name="School",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("name", models.TextField(unique=True)),
                ("coordinator", byron.cache.fields.ReferenceField(to="grouping.user")),
            ],
        ),
        migrations.CreateModel(
            name="Class",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("name", models.TextField(db_index=True)),
                ("students", byron.cache.fields.ReferenceListField(to="User")),
                ("school", byron.cache.fields.ReferenceField(to="grouping.school")),
                ("teacher", byron.cache.fields.ReferenceField(to="grouping.user")),
            ],
        ),
    ]

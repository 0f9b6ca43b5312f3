# ruff: noqa: RUF012
import byron.cache.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Author",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("full_name", models.TextField(unique=True)),
                ("born_on", models.DateField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("title", models.TextField(db_index=True)),
                ("genre", models.CharField(max_length=60)),
                ("price", byron.cache.fields.DecimalField(null=True)),
                ("tags", byron.cache.fields.ListField(base="String")),
                ("author", byron.cache.fields.ReferenceField(to="library.author")),
            ],
        ),
        migrations.CreateModel(
            name="Everything",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("an_id", models.CharField(max_length=255)),
                ("text", models.TextField(null=True)),
                ("number", models.IntegerField()),
                ("ratio", byron.cache.fields.FloatField()),
                ("flag", models.BooleanField()),
                ("moment", models.DateTimeField()),
                ("day", models.DateField()),
                ("hour", models.TimeField()),
                ("amount", byron.cache.fields.DecimalField(unique=True)),
                ("code", models.UUIDField()),
                ("extra", byron.cache.fields.JSONField(null=True)),
                ("moments", byron.cache.fields.ListField(base="DateTime")),
                ("amounts", byron.cache.fields.ListField(base="Decimal", null=True)),
                ("codes", byron.cache.fields.ListField(base="UUID", null=True)),
                ("genres", byron.cache.fields.ListField(base="String")),
                ("books", byron.cache.fields.ReferenceListField(to="Book")),
                ("user_id", models.CharField(max_length=255, null=True)),
                ("friend", byron.cache.fields.ReferenceField(null=True, to="library.everything")),
            ],
        ),
    ]

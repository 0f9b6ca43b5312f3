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
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("full_name", byron.cache.fields.TextField(unique=True)),
                ("born_on", models.DateField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("title", byron.cache.fields.TextField(db_index=True)),
                ("genre", byron.cache.fields.CharField(max_length=60)),
                ("price", byron.cache.fields.DecimalField(null=True)),
                ("tags", byron.cache.fields.ListField(base="String")),
                ("author", byron.cache.fields.ReferenceField(to="library.author")),
            ],
        ),
        migrations.CreateModel(
            name="Everything",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("an_id", byron.cache.fields.CharField(max_length=255)),
                ("text", byron.cache.fields.TextField(null=True)),
                ("number", byron.cache.fields.IntegerField()),
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
                ("user_id", byron.cache.fields.CharField(max_length=255, null=True)),
                ("friend", byron.cache.fields.ReferenceField(null=True, to="library.everything")),
            ],
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("byron", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="sinkmember",
            name="lanes",
            field=models.PositiveSmallIntegerField(default=1),
        ),
    ]

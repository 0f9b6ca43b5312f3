"""Django's admin in an API: it shows the Cache, and cannot change it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import byron_admin, environment, run

_SETTINGS = """
INSTALLED_APPS += [f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages")]
MIDDLEWARE += [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES[0] |= {"APP_DIRS": True, "OPTIONS": {"context_processors": [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]}}
DATABASES["default"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "default.sqlite3"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

_URLS = """
from django.apps import apps
from django.contrib import admin

admin.site.register(apps.get_model("students", "Student"))
urlpatterns += [__import__("django.urls", fromlist=["path"]).path("admin/", admin.site.urls)]
"""

_SCRIPT = """
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client
from byron.exceptions import CacheWriteError

client = Client(HTTP_HOST="localhost")
client.force_login(User.objects.get())
page = "/admin/students/student/"
print("> list", "s1/change" in client.get(page).content.decode())
filled = {"id": "s1", "name": "Eve", "course": "c", "ingress": "2"}
for name, address, data in (
    ("add", f"{page}add/", filled | {"id": "s2"}),
    ("change", f"{page}s1/change/", filled),
    ("delete", f"{page}s1/delete/", {"post": "yes"}),
    ("delete selected", page, {"action": "delete_selected", "_selected_action": "s1", "post": "yes"}),
):
    try:
        print(">", name, client.post(address, data).status_code)
    except CacheWriteError as error:
        print(">", name, "refused:", error)
print("> left", list(apps.get_model("students", "Student").objects.values_list("id", "name")))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    byron_admin("startcomponent", "students", directory=tmp_path)
    made = tmp_path / "students"
    for file, text in (("settings.py", _SETTINGS), ("urls.py", _URLS)):
        with (made / "config" / file).open("a") as opened:
            opened.write(text)
    run(["manage.py", "migrate", "-v0"], made, tmp_path / "state")
    prepare = (
        "from django.contrib.auth.models import User; User.objects.create_superuser('root');"
        "from students.models import Student; Student.objects.create(id='s1', name='Ada', course='c', ingress=1)"
    )
    run(["manage.py", "shell", "-c", prepare], made, tmp_path / "state")
    return made


def test_the_admin_shows_the_cache_and_each_change_is_refused(project: Path, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", _SCRIPT],
        cwd=project,
        env=environment(tmp_path / "state", BYRON_ROLE="api"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert finished.returncode == 0, finished.stderr
    lines = [line.removeprefix("> ") for line in finished.stdout.splitlines() if line.startswith("> ")]
    assert lines[0] == "list True"
    assert lines[-1] == "left [('s1', 'Ada')]"
    for line in lines[1:-1]:
        assert "refused: The API cannot write" in line
        assert line.endswith("Emit an event, and write in its handler.")
    assert len(lines) == 6

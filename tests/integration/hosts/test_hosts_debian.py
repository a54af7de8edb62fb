"""A host as Debian sets it up: a login without rights of its own, sudo to postgres and to the app's user, peer authentication, PostgreSQL 15."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import debian_host
import pytest
from debian_host import BIN, DebianHost
from hosts_fleet import Fleet
from hosts_links import ProcessListWatch, secrets_of
from world.lifecycle import World
from world.postgres_server import PostgresServer

pytestmark = pytest.mark.full


class OlderWorld(World):
    """A world whose production runs PostgreSQL 15, so that its dump can be restored by 15."""

    @property
    def postgres(self) -> PostgresServer:
        """Return the server, running or not."""
        made = super().postgres
        return PostgresServer(made.data_dir, made.port, made.superuser, made.password, BIN)


@pytest.fixture(scope="module")
def host():
    reason = debian_host.missing()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="deb_"))
    made = DebianHost.new(folder)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)
    for path in (made.shared, Path(f"{made.shared}_incoming")):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def fleet(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("older")
    world = OlderWorld(folder)
    world.start()
    variables = host.host_vars()
    variables["app_migrate_environment"] = {
        "DATABASE_NAME": "{{ database_restore_working_name }}",
        "DATABASE_HOST": "localhost",
        "DATABASE_PORT": "{{ database_restore_port }}",
        "DATABASE_USER": "{{ database_restore_owner }}",
        "DATABASE_PASSWORD": "{{ database_restore_owner_password }}",
        "DEV_LOGIN_PASSWORD": "{{ refresh_demo_world.dev_login_password }}",
    }
    yield Fleet(world, {"debian1": variables})
    world.remove()


def test_the_whole_job_works_by_sudo_and_peer_authentication(fleet, host):
    with ProcessListWatch([host.owner_password, *secrets_of(fleet.world)]) as watch:
        done = fleet.run()
    assert done.code == 0, done.output
    assert watch.seen == set(), "a command line shows a secret"
    report = done.report("debian1")
    assert report["status"] == "ok"
    assert report["xero"]["projects"]["created"] > 500
    assert "pg_refresh debian1 stage" in done.output, "no live progress through sudo"
    assert report["dump"]["path"].startswith(f"{host.shared}_incoming/")
    again = fleet.run()
    assert again.code == 0, again.output
    assert again.changed("debian1") == 0, again.output


def test_sudo_that_is_not_allowed_is_said_in_the_guard(fleet, host):
    """Catches a wall of sudo's own words, or a module's, where one sentence with the line for sudoers is due."""
    sudoers = host.folder / "sudoers.d" / "deploy"
    before = sudoers.read_text()
    sudoers.chmod(0o640)
    sudoers.write_text("deploy ALL=(jobs) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    try:
        done = fleet.run(extra={"app_services_units": ["jobs-web"]})
    finally:
        sudoers.chmod(0o640)
        sudoers.write_text(before)
        sudoers.chmod(0o440)
    assert done.code == 2, done.output
    assert "deploy ALL=(postgres) NOPASSWD: ALL" in done.text, done.output
    assert "deploy ALL=(root) NOPASSWD: ALL" in done.text, "units are stopped by root"
    assert "Nothing was changed" in done.text


def test_nothing_of_a_run_stays_on_the_host(host):
    listed = subprocess.run(["ps", "-eo", "user:20,args"], capture_output=True, text=True, check=True).stdout
    mine = [line for line in listed.splitlines() if str(host.folder) in line and "AnsiballZ" in line]
    assert mine == []

"""The app's services as systemd units, with a real systemd: the system's, and a user's own."""

from __future__ import annotations

import dataclasses

import pytest
import systemd_machine
from systemd_machine import SystemdMachine

pytestmark = pytest.mark.full

# the last start says which database was live, the log in which order all was done
UNIT = """
[Unit]
DefaultDependencies=no
[Service]
StandardOutput=null
StandardError=null
ExecStartPre=/bin/sh -c 'if [ -e {folder}/fail-{name} ]; then exit 3; fi'
ExecStartPre=/bin/sh -c 'echo {name} starts >> {folder}/log'
ExecStart=/bin/sleep 10000
ExecStopPost=/bin/sh -c 'echo {name} ends >> {folder}/log'
"""
TIMER = """
[Unit]
DefaultDependencies=no
[Timer]
OnBootSec=1d
Unit=dr-nightly.service
"""
# what logind starts for a user that lingers
MANAGER = """
[Unit]
DefaultDependencies=no
[Service]
Type=notify
Environment=XDG_RUNTIME_DIR=/run/user/0 SYSTEMD_UNIT_PATH={folder} HOME=/root
RuntimeDirectory=user/0
ExecStart=/lib/systemd/systemd --user
Delegate=yes
StandardOutput=null
StandardError=null
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    reason = systemd_machine.missing()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("units")
    made = SystemdMachine(folder)
    for name in ("dr-web", "dr-sync", "dr-worker@", "dr-nightly"):
        (folder / f"{name}.service").write_text(UNIT.format(name=name.rstrip("@"), folder=folder))
    (folder / "dr-beat.timer").write_text(TIMER)
    (folder / "dr-masked.service").symlink_to("/dev/null")
    user = folder / "user"
    user.mkdir()
    (user / "dr-own.service").write_text(UNIT.format(name="dr-own", folder=folder))
    (user / "default.target").write_text("[Unit]\n")
    (folder / "dr-manager.service").write_text(MANAGER.format(folder=user))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def host(stage, machine):
    """Return the stage, with the playbook run on the machine that has the systemd."""

    class Host(type(stage)):
        def command(self, *arguments, **more):
            return machine.inside(*super().command(*arguments, **more))

    return Host(**{field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)})


UNITS = {"app_services_units": ["dr-web", "dr-worker@1.service", "dr-beat.timer"], "app_services_sync_units": ["dr-sync.service"]}
ALL = ("dr-web", "dr-worker@1", "dr-beat.timer", "dr-sync")


def log(machine):
    """Return what the units did since the last time."""
    path = machine.units / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def live(host):
    name = host.told["database"]
    return {database: oid for database, oid, *_ in host.databases()}.get(name)


def test_units_are_stopped_for_the_swap_and_those_of_xero_until_the_end(host, machine):
    """Services, instances of a template and timers; a second run leaves all of them alone."""
    assert machine.systemctl("start", *ALL).returncode == 0
    log(machine)
    ran = host.run(extra=UNITS)
    assert ran.code == 0, ran.output
    assert log(machine) == ["dr-sync ends", "dr-web ends", "dr-worker ends", "dr-web starts", "dr-worker starts", "dr-sync starts"]
    assert {unit: machine.show(unit) for unit in ALL} == dict.fromkeys(ALL, "active")
    assert ran.changed > 0
    again = host.run(extra=UNITS)
    assert (again.code, again.changed, log(machine)) == (0, 0, []), again.output


def test_a_unit_that_does_not_start_takes_the_swap_back(host, machine):
    """The former database is live again; the sync unit, which ran before, runs again; the next run tries the dump again."""
    before = live(host)
    host.world.new_dump()
    flag = machine.units / "fail-dr-worker"
    flag.touch()
    ran = host.run(extra=UNITS)
    flag.unlink()
    assert ran.code == 2, ran.output
    assert "Unable to start service dr-worker@1.service" in ran.report["failure"]["message"]
    assert "The swap was taken back" in ran.report["failure"]["message"]
    assert live(host) == before
    assert machine.show("dr-web") == "active"
    ran = host.run(extra=UNITS)
    assert ran.code == 0, ran.output
    assert live(host) != before
    assert {unit: machine.show(unit) for unit in ALL} == dict.fromkeys(ALL, "active")
    log(machine)


def test_a_rollback_restarts_the_units(host, machine):
    """Those that talk to Xero too, since the database that comes back was seeded and verified."""
    before = live(host)
    ran = host.run(playbook="playbooks/rollback_dev.yml", extra=UNITS)
    assert ran.code == 0, ran.output
    assert live(host) != before
    assert log(machine) == ["dr-sync ends", "dr-web ends", "dr-worker ends", "dr-web starts", "dr-worker starts", "dr-sync starts"]


def test_units_that_could_not_be_started_are_named_in_the_guard(host, machine):
    """Absent, masked and misspelt ones, and the units of a user whose systemd does not run."""
    extra = {"app_services_units": ["dr-web", "dr-absent", "dr-masked.service"], "app_services_sync_units": ["dr-beat.timer"]}
    ran = host.run(extra=extra)
    assert ran.code == 2, ran.output
    text = " ".join(ran.output.split())
    assert '1. The host has no systemd unit "dr-absent". Correct app_services_units' in text, ran.output
    assert '2. The systemd unit "dr-masked.service" is masked, so it could not be started' in text
    assert "2 things keep this run from being safe" in text
    ran = host.run(extra={"app_services_units": ["dr-own"], "app_services_scope": "user"})
    assert ran.code == 2, ran.output
    text = " ".join(ran.output.split())
    assert "systemd does not answer on dev1" in text
    assert "loginctl enable-linger" in text
    assert log(machine) == []


def test_the_units_of_a_user(host, machine):
    """Where the user's systemd runs, they are stopped and started by it."""
    assert machine.systemctl("start", "dr-manager").returncode == 0
    own = machine.inside("env", "XDG_RUNTIME_DIR=/run/user/0", "systemctl", "--user")
    assert systemd_machine.subprocess.run([*own, "start", "dr-own"], check=False).returncode == 0
    log(machine)
    host.world.new_dump()
    ran = host.run(extra={"app_services_units": ["dr-own"], "app_services_scope": "user"})
    assert ran.code == 0, ran.output
    assert log(machine) == ["dr-own ends", "dr-own starts"]

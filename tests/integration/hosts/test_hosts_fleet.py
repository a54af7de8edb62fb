"""Several hosts in one run: each for itself, those that share an organisation one after the other, a summary for all."""

from __future__ import annotations

import json
import secrets
import urllib.request
from typing import Any

import psycopg2
import pytest
from hosts_fleet import Fleet

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


def told(world) -> dict[str, Any]:
    return json.loads(world.file.read_text())


def host(number: int, **more: Any) -> dict[str, Any]:
    return {**LOCAL, "database_restore_name": f"jobs_dev_{number}", **more}


def organisation_of_its_own(world, name: str) -> dict[str, Any]:
    """Make an organisation with an app of its own in the sandbox; return the host's variables for it."""
    url = told(world)["xero"]["url"]

    def post(path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{url}/sandbox{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    secret = secrets.token_hex(16)
    tenant = post("/organisations", {"name": name, "connect": []})["tenant_id"]
    client = secrets.token_hex(16).upper()
    post("/clients", {"client_id": client, "client_secret": secret, "connect": False})
    post("/connections", {"client_id": client, "tenant_id": tenant})
    return {"xero_seed_client_id": client, "xero_seed_client_secret": secret}


def ids(world, number: int) -> dict[Any, Any]:
    """Return the Xero ids of a host's clients and jobs."""
    server = told(world)["postgres"]
    where = {"host": server["host"], "port": server["port"], "user": server["superuser"], "password": server["superuser_password"]}
    session = psycopg2.connect(dbname=f"jobs_dev_{number}", **where)
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT id::text, xero_contact_id FROM client_client UNION ALL SELECT id::text, xero_project_id FROM job_job")
            return dict(cursor.fetchall())
    finally:
        session.close()


@pytest.mark.full
def test_one_hosts_failure_leaves_the_others_alone_and_a_shared_organisation_is_seeded_in_turn(world):
    fleet = Fleet(world, {"dev1": host(1), "dev2": host(2), "dev3": host(3, database_restore_dump="/nowhere/production.dump")})
    done = fleet.run()
    assert done.code == 2, done.output
    assert [done.report(name)["status"] for name in ("dev1", "dev2", "dev3")] == ["ok", "ok", "failed"]
    assert ids(world, 1) == ids(world, 2)
    assert sum(value not in (None, "") for value in ids(world, 1).values()) > 900
    created = {done.report(name)["xero"]["projects"]["created"] for name in ("dev1", "dev2")}
    assert len(created) == 2, "both made the same projects"
    assert min(created) == 0
    assert "seeds the same organisation" in done.output
    assert "3 hosts: 2 ok, 1 failed" in done.output

    alone = fleet.run("--limit", "dev2")
    assert alone.code == 0, alone.output
    assert alone.changed("dev2") == 0, alone.output


@pytest.mark.full
def test_one_database_named_by_two_hosts_is_refused_before_anything_is_changed(world):
    fleet = Fleet(world, {"dev1": host(4), "dev2": host(4, database_restore_host="localhost"), "dev3": host(5)})
    done = fleet.run("--check")
    assert done.code == 2, done.output
    assert 'dev1 and dev2 name the same database, "jobs_dev_4"' in done.text, done.output
    assert "dev2 and dev1 name the same database" in done.text
    assert done.report("dev3", check=True)["status"] == "ok"


@pytest.mark.full
def test_ten_hosts_with_organisations_of_their_own(world):
    hosts = {f"dev{number}": host(number, **organisation_of_its_own(world, f"Demo Company {number}")) for number in range(10, 20)}
    fleet = Fleet(world, hosts)
    done = fleet.run("--forks", "10")
    assert done.code == 0, done.output
    assert "10 hosts: 10 ok" in done.output
    found = [ids(world, number) for number in range(10, 20)]
    assert len({frozenset(each.values()) for each in found}) == 10
    again = fleet.run("--forks", "10")
    assert [again.changed(name) for name in hosts] == [0] * 10, again.output


@pytest.mark.full
def test_serial_takes_them_in_batches(world):
    fleet = Fleet(world, {f"dev{number}": host(number) for number in (1, 2)})
    done = fleet.run("--check", extra={"refresh_serial": 1})
    assert done.code == 0, done.output
    assert "2 hosts: 2 ok" in done.output

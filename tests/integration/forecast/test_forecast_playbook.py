"""What ``restore_dev.yml --check`` foretells is what the next run does, field by field, in generated situations."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from forecast_situations import Place, situation
from world.lifecycle import World
from xero_sandbox.testing import SandboxServer

ROOT = Path(__file__).resolve().parents[3]
NUMBERS = range(100, 112)
PROGRESS = {"DEV_REFRESH_PROGRESS": "0", "ANSIBLE_NOCOLOR": "1"}
SEED_FIELDS = ("changed", "complete", "organisation", "contacts", "projects", "unclaimed", "skips", "left_out")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Start a world for all situations of this file."""
    started = World(tmp_path_factory.mktemp("world"))
    started.start()
    yield started
    started.remove()
    shutil.rmtree(started.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def place(world):
    """Return the world's server and sandbox as a place for situations."""
    told = json.loads(world.file.read_text())
    server, xero = told["postgres"], told["xero"]

    def connect(database: str = "postgres", *, owner: bool = False) -> Any:
        who = ("owner", "owner_password") if owner else ("superuser", "superuser_password")
        session = psycopg2.connect(host=server["host"], port=server["port"], user=server[who[0]], password=server[who[1]], dbname=database)
        session.autocommit = True
        return session

    sandbox = SandboxServer(port=world.sandbox.port, client_id=xero["client_id"], client_secret=xero["client_secret"])
    sandbox.url = xero["url"]
    return Place(
        connect, server["port"], Path(server["bin_dir"]), server["superuser"], server["superuser_password"], server["owner"], server["owner_password"],
        sandbox, world.folder, told["database"],
    )  # fmt: skip


def migrations(place: Place, count: int) -> dict[str, Any]:
    """Return the variables of an app with so many migrations more than the dump has."""
    names = ["client.0001_initial", "job.0001_initial", *(f"job.000{n}_more" for n in range(2, 2 + count))]
    insert = "".join(
        f"INSERT INTO django_migrations (app, name) SELECT 'job', '000{n}_more' WHERE NOT EXISTS (SELECT FROM django_migrations WHERE name = '000{n}_more');"
        for n in range(2, 2 + count)
    )
    psql = str(place.bin_dir / "psql")
    ask = f"""test "$({psql} -Atqc "SELECT count(*) FROM django_migrations")" = {len(names)}"""
    return {
        "app_migrate_chdir": str(place.folder),
        "app_migrate_command": [psql, "-qc", insert] if count else [],
        "app_migrate_pending_command": ["sh", "-c", ask] if count else [],
        "app_migrate_expected_command": ["printf", "%s\\n", *names],
        "app_migrate_post_commands": [],
        "app_migrate_environment": {
            "PGHOST": "127.0.0.1", "PGPORT": str(place.port), "PGUSER": place.owner, "PGPASSWORD": place.owner_password,
            "PGDATABASE": "{{ database_restore_working_name }}",
        },
        "app_services_smoke_commands": [],
    }  # fmt: skip


def run(world: World, extra: dict[str, Any], *words: str) -> tuple[int, str, dict[str, Any]]:
    """Run the playbook; return its code, its output and its report."""
    report = world.folder / "reports" / ("dev1.check.json" if "--check" in words else "dev1.json")
    report.unlink(missing_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PG"))}
    more = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "DEV_REFRESH_WORLD": str(world.folder), **PROGRESS}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "restore_dev.yml", *words, "-e", json.dumps(extra)],
        cwd=ROOT, env={**kept, **more, "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.full
@pytest.mark.parametrize("number", NUMBERS)
def test_the_check_foretells_the_run(world, place, number, record_property):
    there = situation(number)
    print(there)
    dump = place.build(there)
    extra = {
        "database_restore_dump": str(dump), "database_restore_require_checksum": False, "database_restore_sanitise_sql": [],
        "database_restore_private_tables": [], "database_restore_preserve": [], "xero_seed_finish_sql": [], "xero_seed_entities": there.entities,
        "xero_seed_mapping": there.mapping, "xero_seed_incomplete_ok": True, **migrations(place, there.migrations),
    }  # fmt: skip
    code, output, told = run(world, extra, "--check")
    assert code == 0, output
    code, output, done = run(world, extra)
    assert code == 0, output

    action = told["database"]["action"]
    assert action == done["database"]["action"]
    assert told["changed"] == done["changed"]
    for name in ("sha256", "rows", "tables"):
        assert told["dump"].get(name) == done["dump"].get(name), name
    if action in ("restore", "resume"):
        applied = {f"{app}.{name}" for app, name in place.rows("SELECT app, name FROM django_migrations")}
        assert len(told["migrations"]["foreseen"]) == there.migrations
        assert set(told["migrations"]["foreseen"]) <= applied
    assert told["xero"]["forecast"] == ("estimate" if there.migrations and action in ("restore", "resume") else "exact"), told["xero"]["forecast_reasons"]
    before, after = told["xero"], done["xero"]
    assert {name: before[name] for name in SEED_FIELDS} == {name: after[name] for name in SEED_FIELDS}
    assert before["api"]["writes"] == after["api"]["writes"]
    assert after["seconds"] <= 60 * before["estimate"]["minutes"] + 5
    shown = "\n".join(line for line in (world.folder / "reports" / "dev1.check.md").read_text().splitlines() if line.startswith("| Quota"))
    if after["complete"]:
        used = next(row["day"][1] for row in place.sandbox.limits()["usage"] if row["tenant_id"] == place.sandbox.tenant_id)
        limit = place.sandbox.admin("GET", "/")["settings"]["calls_per_day"]
        assert f" {limit - used:,} after it" in shown, f"the run left {limit - used}: {shown}"
    else:
        assert "too few" in shown
    record_property("forecasts", 1)

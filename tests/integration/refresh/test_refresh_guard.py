"""What pg_refresh refuses, foresees and survives, on a real server."""
from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import threading
import time
from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from ansible.module_utils.dev_refresh.errors import GuardError, RefreshError
from ansible.module_utils.dev_refresh.run_id import new_run_id
from psycopg2 import sql


@pytest.fixture
def plain_admin(pg: Any) -> Any:
    """Make an administrator who is not a superuser, with the rights that the documentation lists."""
    name, password = f"dba_{secrets.token_hex(3)}", secrets.token_hex(8)
    session = pg.cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD %s IN ROLE pg_signal_backend, {}").format(sql.Identifier(name), sql.Identifier(pg.cluster.owner)),
            (password,),
        )
    pg.options |= {"login_user": name, "login_password": password}
    yield name
    with session.cursor() as cursor:
        for suffix in ("", "_refresh", "_previous"):
            cursor.execute(f'DROP DATABASE IF EXISTS "{pg.name}{suffix}" WITH (FORCE)')
        cursor.execute(f"DROP ROLE {name}")
    session.close()


def test_an_administrator_without_superuser_rights_is_enough(pg: Any, plain_admin: str, dump: Any, newer_dump: Any) -> None:
    """CREATEDB, pg_signal_backend and membership in the owner role do it all, rollback included."""
    pg.options["preserve"] = [{"table": "oauth_token"}]
    assert pg.whole(dump)["changed"]
    assert pg.whole(newer_dump)["changed"]
    assert pg.whole(newer_dump)["action"] == "current"
    assert pg("previous")["changed"]


def test_missing_rights_are_all_named_at_once(pg: Any, plain_admin: str, dump: Any) -> None:
    """One failure lists everything: rights, checksum, name of an absent role."""
    session = pg.cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {plain_admin} NOCREATEDB; REVOKE {pg.cluster.owner} FROM {plain_admin}; REVOKE pg_signal_backend FROM {plain_admin}")
    session.close()
    with pytest.raises(GuardError) as caught:
        pg("staged", dump=dump, require_checksum=True)
    text = str(caught.value)
    for words in ("may not create databases", "not a member of the owner role", "may not end other roles", "no checksum for"):
        assert words in text
    assert pg.oids() == {}


def test_a_wrong_owner_password_is_found_before_anything_is_created(pg: Any, dump: Any) -> None:
    """The owner's login is probed under the staging name, where pg_hba.conf may treat it differently."""
    with pytest.raises(GuardError, match="refused the password") as caught:
        pg("staged", dump=dump, owner_password="not-the-password")
    assert "not-the-password" not in str(caught.value)
    assert pg.oids() == {}


def test_without_a_server_the_dump_is_looked_at_all_the_same(pg: Any, dump: Any) -> None:
    """Somebody with a wrong password and a wrong path learns of both in one run."""
    cut = dump.with_name("cut.dump")
    cut.write_bytes(dump.read_bytes()[:-100])
    for name, words in (("/nowhere.dump", "/nowhere.dump"), (str(cut), "is cut off")):
        with pytest.raises(GuardError) as caught:
            pg("staged", dump=name, check=True, login_password="not-the-password")
        assert ["refused the password" in str(found) for found in caught.value.findings] == [True, False], name
        assert words in str(caught.value.findings[1])
    with pytest.raises(RefreshError, match="refused the password") as plain:
        pg("staged", dump=dump, check=True, login_password="not-the-password")
    assert not isinstance(plain.value, GuardError)


def test_a_superuser_is_no_owner(pg: Any, dump: Any) -> None:
    """What a dump contains must not run with all rights."""
    server = pg.cluster.server
    with pytest.raises(GuardError, match="is a superuser"):
        pg("staged", dump=dump, owner=server.superuser, owner_password=server.password)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "app_production_dev"}, 'has the word "production"'),
        ({"name": "crm"}, "allowed_names"),
        ({"name": "app_dev_refresh"}, "reserved"),
        ({"name": "dev_" + "x" * 56}, "bytes"),
        ({"name": "dev_" + "ā" * 28}, "bytes"),
        ({"name": "postgres", "allowed_names": "."}, "of the server itself"),
        ({"forbidden_hosts": ["127.0.0.1"]}, "forbidden_hosts"),
        ({"owner_password": "short"}, "fewer than 8"),
        ({"name": "dev_abcdefgh", "owner_password": "abcdefgh"}, "contained in the name"),
        ({"run_id": "tomorrow"}, "not a run id"),
    ],
)
def test_dangerous_requests_are_refused(pg: Any, dump: Any, more: dict[str, Any], words: str) -> None:
    """Names, servers and secrets are judged before anything is done."""
    with pytest.raises(GuardError, match=words):
        pg("staged", dump=dump, **more)


def test_a_dump_of_a_database_of_the_same_name_is_refused(pg: Any, production: Any) -> None:
    """Development must not be taken for production."""
    dump = production.dump(3, source=pg.name)
    with pytest.raises(GuardError, match="the same name"):
        pg("staged", dump=dump)


def test_awkward_names_work(cluster: Any, pg: Any, dump: Any, newer_dump: Any) -> None:
    """Quotes, spaces and backslashes go through SQL, libpq and pg_restore alike."""
    pg.name = f"dev {secrets.token_hex(2)} 'ü\\\"x"
    try:
        pg.whole(dump)
        assert pg.whole(newer_dump)["changed"]
        assert pg.whole(newer_dump)["action"] == "current"
    finally:
        session = cluster.connect()
        with session.cursor() as cursor:
            for suffix in ("", "_refresh", "_previous"):
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(pg.name + suffix)))
        session.close()


def test_checksums(pg: Any, dump: Any, tmp_path: Any) -> None:
    """Given by option or file; a wrong one is refused before any SQL."""
    copy = tmp_path / "copy.dump"
    copy.write_bytes(dump.read_bytes())
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    with pytest.raises(GuardError, match="is expected"):
        pg("staged", dump=copy, checksum="sha256:" + "0" * 64)
    (tmp_path / "copy.dump.sha256").write_text(f"{digest}  copy.dump\n")
    assert pg("staged", dump=tmp_path / "*.dump", require_checksum=True)["dump"]["sha256"] == digest


def test_check_mode_foresees_the_run_and_writes_nothing(pg: Any, dump: Any, newer_dump: Any) -> None:
    """The same keys and the same changed as the run; databases and comments are as before."""
    for archive in (dump, dump, newer_dump):
        before = pg.oids()
        forecasts = {state: pg(state, dump=archive, check=True) for state in ("staged", "ready", "live")}
        assert pg.oids() == before
        run_id = new_run_id()
        staged = pg("staged", dump=archive, run_id=run_id)
        assert set(forecasts["staged"]) == set(staged)
        for key in ("changed", "action", "situation", "row_counts", "dump", "database", "skipped_entries", "diff"):
            assert forecasts["staged"][key] == staged[key], key
        for state in ("ready", "live"):
            assert forecasts[state]["changed"] == pg(state, run_id=run_id)["changed"], state
    assert pg("previous", check=True)["changed"]


def test_check_mode_takes_no_lock_and_a_second_run_fails_at_once(pg: Any, dump: Any) -> None:
    """Whoever comes second is told who works."""
    from ansible.module_utils.dev_refresh.postgres.lock import DatabaseLock
    from ansible.module_utils.dev_refresh.postgres.options import login_from

    params = pg.params("staged")
    login = login_from({"login_unix_socket": "", "ssl_mode": "prefer", "ca_cert": None, **params})
    with DatabaseLock(login, pg.name, holder="somebody"):
        assert pg("staged", dump=dump, check=True)["changed"]
        with pytest.raises(RefreshError, match='worked on by "dev_refresh somebody"') as caught:
            pg("staged", dump=dump)
    assert caught.value.details["locked"]
    assert pg.oids() == {}


def test_entries_that_reach_production_are_left_out(pg: Any, production: Any) -> None:
    """Publications, event triggers and subscriptions are skipped and named."""
    dump = production.dump(
        5,
        extra_sql="CREATE PUBLICATION everything FOR ALL TABLES;"
        " CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION note();"
        " CREATE SUBSCRIPTION sub CONNECTION 'host=prod.example.com password=secret-of-prod' PUBLICATION p WITH (connect = false, slot_name = NONE)",
    )
    result = pg.whole(dump)
    assert {entry["kind"] for entry in result["skipped_entries"]} == {"PUBLICATION", "EVENT TRIGGER", "SUBSCRIPTION"}
    assert "secret-of-prod" not in json.dumps(result)
    assert pg.rows("SELECT (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_event_trigger)") == [(0, 0)]


def test_a_dump_of_a_development_database_keeps_what_its_marker_said(pg: Any, dump: Any, production: Any, cluster: Any, tmp_path: Any) -> None:
    """Its organisation is known to the seed's guard, and its original ids stay."""
    import subprocess

    pg.whole(dump)
    pg.execute("UPDATE dev_refresh.marker SET state = state || '{\"tenant_id\": \"t-1\"}'; UPDATE client_client SET xero_contact_id = 'dev-id' WHERE id = 1")
    server, path = cluster.server, tmp_path / "dev.dump"
    argv = [server.bin_dir / "pg_dump", "-Fc", "-h", "127.0.0.1", "-p", str(server.port), "-U", server.superuser, "-f", path, pg.name]
    subprocess.run(argv, check=True, env={"PATH": os.environ["PATH"], "PGPASSWORD": server.password}, timeout=60)
    other = replace(pg, name=f"{pg.name}_old", options={})
    other.name = pg.name.replace("app_dev", "app_test")
    try:
        other.whole(path)
        assert other.rows("SELECT state->'extra'->'dump_marker'->>'tenant_id', state->>'tenant_id' FROM dev_refresh.marker") == [("t-1", None)]
        assert other.rows("SELECT count(*) FROM dev_refresh.original_ids WHERE entity = 'contacts'") == [(11,)]
        assert other.whole(path)["action"] == "current"
    finally:
        session = cluster.connect()
        with session.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{other.name}" WITH (FORCE)')
        session.close()


def test_the_module_as_a_process(pg: Any, dump: Any) -> None:
    """One JSON result; failures are one sentence without a traceback or a secret."""
    good = pg.process("staged", dump=dump)
    output, _ = good.communicate(timeout=60)
    result = json.loads(output)
    assert (result["changed"], result["action"]) == (True, "restore")
    assert "diff" not in result
    bad = pg.process("staged", dump="/nowhere/x.dump")
    output, errors = bad.communicate(timeout=60)
    failure = json.loads(output)
    assert failure["failed"]
    assert failure["changed"] is False
    assert len(failure["findings"]) == 1
    assert b"Traceback" not in output + errors
    assert pg.cluster.owner_password.encode() not in output.replace(b"VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", b"")


def slow(seconds: float) -> str:
    """Return a statement that takes a while."""
    return f"SELECT pg_sleep({seconds})"


def kill_and_run_again(pg: Any, newer_dump: Any, wait_for: Any, *, number: int, when: str, delay: float = 0.0) -> None:
    """Kill a staged run at a moment; one rerun of all states must reach the state of an undisturbed run."""
    sanitise = [slow(1.5)] if when == "sanitise" else []
    expected_options = {"sanitise_sql": sanitise}
    staging = f"{pg.name}_refresh"
    child = pg.process("staged", dump=newer_dump, **expected_options)
    if when == "created":
        wait_for(lambda: staging in pg.oids() or child.poll() is not None)
    elif when == "sanitise":
        wait_for(
            lambda: (
                bool(pg.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(1.5)%' AND state = 'active'", "postgres"))
                or child.poll() is not None
            )
        )
    time.sleep(delay)
    os.kill(child.pid, number)
    child.communicate(timeout=30)
    assert pg.rows("SELECT count(*) FROM client_client") == [(20,)]
    session_gone = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
    wait_for(lambda: not pg.rows(session_gone, "postgres"))
    pg.whole(newer_dump, **expected_options)
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]
    assert set(pg.oids()) == {pg.name, f"{pg.name}_previous"}
    assert not pg.rows(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{staging}' OR application_name LIKE 'dev_refresh pg_restore%'", "postgres")


@pytest.mark.parametrize("when", ["created", "sanitise"])
def test_a_killed_run_is_continued_by_the_same_command(pg: Any, dump: Any, newer_dump: Any, wait_for: Any, when: str) -> None:
    """SIGKILL: live answers with the old data, nothing is left running, and the next run converges."""
    pg.whole(dump)
    kill_and_run_again(pg, newer_dump, wait_for, number=signal.SIGKILL, when=when)


def test_an_interrupted_run_cleans_up(pg: Any, dump: Any, newer_dump: Any, wait_for: Any) -> None:
    """SIGTERM: the staging database is gone at once, and the module says one sentence."""
    pg.whole(dump)
    before = pg.oids()
    child = pg.process("staged", dump=newer_dump, sanitise_sql=[slow(20)])
    wait_for(lambda: bool(pg.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(20)%'", "postgres")))
    child.terminate()
    output, _ = child.communicate(timeout=30)
    assert "interrupted by SIGTERM" in json.loads(output)["msg"]
    wait_for(lambda: pg.oids() == before)


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("delay", [round(0.05 * step, 2) for step in range(24)])
def test_a_run_killed_at_any_instant_is_continued(pg: Any, dump: Any, newer_dump: Any, wait_for: Any, number: int, delay: float) -> None:
    """The same, spread over the whole run."""
    pg.whole(dump)
    kill_and_run_again(pg, newer_dump, wait_for, number=number, when="anywhere", delay=delay)


@pytest.mark.full
@pytest.mark.parametrize("delay", [round(0.02 * step, 2) for step in range(40)])
def test_a_swap_killed_at_any_instant_is_finished(pg: Any, dump: Any, newer_dump: Any, wait_for: Any, delay: float) -> None:
    """Old or new data, never none; the rerun finishes, and the door is open."""
    pg.options["preserve"] = [{"table": "oauth_token"}]
    pg.whole(dump)
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    pg("ready", run_id=run_id)
    child = pg.process("live", run_id=run_id)
    time.sleep(0.15 + delay)
    child.kill()
    child.communicate(timeout=30)
    wait_for(lambda: not pg.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'", "postgres"))
    pg.whole(newer_dump)
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]
    assert set(pg.oids()) == {pg.name, f"{pg.name}_previous"}
    assert [facts[1] for _, facts in sorted(pg.oids().items())] == [True, False]
    assert pg.whole(newer_dump)["changed"] is False


def test_live_answers_while_a_run_works(pg: Any, dump: Any, newer_dump: Any) -> None:
    """A client that polls all the while sees live at every instant but the swap's."""
    pg.whole(dump)
    stop, failures, answers = threading.Event(), [], []

    def poll() -> None:
        while not stop.is_set():
            try:
                answers.append(pg.rows("SELECT count(*) FROM client_client")[0][0])
            except psycopg2.OperationalError as error:
                failures.append((time.monotonic(), str(error)))
            time.sleep(0.01)

    client = threading.Thread(target=poll)
    client.start()
    pg.whole(newer_dump)
    deadline = time.monotonic() + 5
    while 30 not in answers and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    client.join()
    assert {20, 30} == set(answers)
    assert not failures or failures[-1][0] - failures[0][0] < 1.0

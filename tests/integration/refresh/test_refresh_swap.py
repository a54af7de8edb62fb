"""Swap, preserve and rollback of pg_refresh on a real server."""
from __future__ import annotations

import threading
import time
from typing import Any

import psycopg2
import pytest
from ansible.module_utils.dev_refresh.errors import GuardError, RefreshError
from ansible.module_utils.dev_refresh.run_id import new_run_id

TOKEN = [{"table": "oauth_token"}]


def test_swap_wins_against_clients_that_reconnect_at_once(pg: Any, dump: Any, newer_dump: Any) -> None:
    """Without the closed door, reconnecting clients make the rename fail; they see old or new data and nothing else."""
    pg.whole(dump)
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    pg("ready", run_id=run_id)
    stop = threading.Event()
    seen: list[int] = []
    wrong: list[str] = []

    def client() -> None:
        session = None
        while not stop.is_set():
            try:
                session = session or pg.cluster.connect(pg.name, owner=True)
                with session.cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM client_client")
                    seen.append(cursor.fetchone()[0])
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                session = None
            except psycopg2.Error as error:
                wrong.append(str(error))
        if session is not None:
            session.close()

    clients = [threading.Thread(target=client) for _ in range(2)]
    idle = pg.cluster.connect(pg.name)
    idle.autocommit = False
    with idle.cursor() as cursor:
        cursor.execute("SELECT * FROM job_job")
    for each in clients:
        each.start()
    result = pg("live", run_id=run_id)
    time.sleep(0.2)
    stop.set()
    for each in clients:
        each.join()
    assert result["changed"]
    assert result["seconds"]["closed"] < 1.0
    assert seen[0] == 20
    assert seen[-1] == 30
    assert set(seen) == {20, 30}
    assert not wrong


def test_live_is_refused_before_ready_and_for_another_run(pg: Any, dump: Any) -> None:
    """Migrations that did not finish never reach live; an older run does not swap what a newer one made."""
    first, second = new_run_id(), new_run_id()
    pg("staged", dump=dump, run_id=first)
    with pytest.raises(RefreshError, match="not ready"):
        pg("live", run_id=first)
    assert pg("staged", dump=dump, run_id=second)["action"] == "resume"
    with pytest.raises(RefreshError, match="taken over"):
        pg("ready", run_id=first)
    pg("ready", run_id=second)
    with pytest.raises(RefreshError, match="taken over"):
        pg("live", run_id=first)
    assert pg("live", run_id=second)["changed"]
    with pytest.raises(RefreshError, match="taken over"):
        pg("staged", dump=dump, run_id=first)


def test_unfinished_migrations_are_not_resumed(pg: Any, dump: Any) -> None:
    """A staging database in phase migrating is built anew."""
    run_id = new_run_id()
    pg("staged", dump=dump, run_id=run_id)
    pg.execute("UPDATE dev_refresh.marker SET state = state || '{\"phase\": \"migrating\"}'", f"{pg.name}_refresh")
    assert pg("staged", dump=dump)["action"] == "restore"
    again = pg("staged", dump=dump)
    assert (again["action"], again["phase"]) == ("resume", "sanitised")


def test_a_door_left_closed_is_reopened(pg: Any, dump: Any) -> None:
    """A run that died between gate and swap locks even superusers out; the next run's first act lets them in."""
    pg.whole(dump)
    session = pg.cluster.connect()
    comment = pg.oids()[pg.name][2].replace('"role"', '"closed_by": "20260101T000000Z-dead", "role"')
    with session.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{pg.name}" ALLOW_CONNECTIONS false')
        cursor.execute(f'COMMENT ON DATABASE "{pg.name}" IS %s', (comment,))
    session.close()
    forecast = pg("staged", dump=dump, check=True)
    assert forecast["changed"]
    assert not pg.oids()[pg.name][1]
    result = pg("staged", dump=dump)
    assert result["action"] == "current"
    assert "open again" in result["repaired"][0]
    assert pg.oids()[pg.name][1]
    assert pg("staged", dump=dump)["repaired"] == []


def test_a_failed_swap_reopens_the_door(pg: Any, dump: Any, newer_dump: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails behind the closed door, live is open again and as it was."""
    from ansible.module_utils.dev_refresh.postgres import databases

    pg.whole(dump)
    before = pg.oids()
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    pg("ready", run_id=run_id)

    def fail(*_: Any) -> None:
        raise RefreshError("the server went away")

    monkeypatch.setattr(databases, "rename_all", fail)
    with pytest.raises(RefreshError, match="went away"):
        pg("live", run_id=run_id)
    assert pg.oids()[pg.name] == before[pg.name]
    assert pg.rows("SELECT count(*) FROM client_client") == [(20,)]
    monkeypatch.undo()
    assert pg("live", run_id=run_id)["changed"]
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]


def test_a_swap_whose_end_was_not_written_is_finished(pg: Any, dump: Any, newer_dump: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that died after the renames is finished by the same command: marker, and the database pushed out."""
    from ansible.module_utils.dev_refresh.refresh import swap

    pg.whole(newer_dump)
    pg.whole(dump, force=True)
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    pg("ready", run_id=run_id)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(swap, "mark_live", die)
    with pytest.raises(KeyboardInterrupt):
        pg("live", run_id=run_id)
    monkeypatch.undo()
    assert f"{pg.name}_old" in pg.oids()
    result = pg("staged", dump=newer_dump)
    assert (result["action"], len(result["repaired"])) == ("current", 2)
    assert set(pg.oids()) == {pg.name, f"{pg.name}_previous"}
    assert pg.rows("SELECT state->>'phase' FROM dev_refresh.marker") == [("live",)]


def test_preserves_rows_and_the_last_rotation_of_a_token(pg: Any, dump: Any, newer_dump: Any) -> None:
    """Rows of live come back with keys and sequences; production's own rows of that table do not stay."""
    pg.options["preserve"] = TOKEN
    pg.whole(dump)
    pg.execute("DELETE FROM oauth_token; INSERT INTO oauth_token (id, provider, token) VALUES (7, 'xero', 'dev-token'), (9, 'other', E'tab\\tline\\n')")
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    assert pg("ready", run_id=run_id)["preserved"] == {"oauth_token": 2}
    pg.execute("UPDATE oauth_token SET token = 'dev-token-rotated' WHERE id = 7")
    assert pg("live", run_id=run_id)["preserved"] == {"oauth_token": 2}
    assert pg.rows("SELECT id, provider, token FROM oauth_token ORDER BY 1") == [(7, "xero", "dev-token-rotated"), (9, "other", "tab\tline\n")]
    pg.execute("INSERT INTO oauth_token (provider, token) VALUES ('next', 'x')")
    assert pg.rows("SELECT max(id) FROM oauth_token") == [(10,)]


def test_preserves_columns_of_rows_that_both_have(pg: Any, dump: Any, newer_dump: Any) -> None:
    """With columns, only these are carried over, and rows that production lacks are not added."""
    pg.options["preserve"] = [{"table": "client_client", "columns": ["phone"]}]
    pg.whole(dump)
    pg.execute(
        "UPDATE client_client SET phone = '021', name = 'changed' WHERE id = 3; INSERT INTO client_client (id, name, phone) VALUES (500, 'dev only', '1')"
    )
    pg.whole(newer_dump)
    assert pg.rows("SELECT id, name, phone FROM client_client WHERE id IN (3, 500)") == [(3, "Client 3", "021")]


@pytest.mark.parametrize(
    ("migration", "entry", "words"),
    [
        ("DROP TABLE oauth_token", {}, "does not exist in the refreshed database"),
        pytest.param("ALTER TABLE oauth_token RENAME TO oauth_tokens", {}, "nearest: oauth_tokens", marks=pytest.mark.full),
        (
            "ALTER TABLE oauth_token ADD kind text; UPDATE oauth_token SET kind = 'x'; ALTER TABLE oauth_token ALTER kind SET NOT NULL",
            {},
            "NOT NULL and without a default",
        ),
        pytest.param("ALTER TABLE oauth_token RENAME provider TO vendor", {"columns": ["provider"]}, r'no column "provider"', marks=pytest.mark.full),
        pytest.param("ALTER TABLE oauth_token ALTER token TYPE int USING 1", {}, "do not fit", marks=pytest.mark.full),
        ("ALTER TABLE oauth_token ADD FOREIGN KEY (id) REFERENCES client_client", {}, "A kept row refers to a row"),
    ],
)
def test_what_does_not_fit_is_said_before_the_swap(pg: Any, dump: Any, newer_dump: Any, migration: str, entry: dict[str, Any], words: str) -> None:
    """Each mismatch of a preserved table has its own message, live is untouched."""
    pg.options["preserve"] = [{"table": "oauth_token", **entry}]
    pg.whole(dump)
    pg.execute("UPDATE oauth_token SET id = 777")
    before = pg.oids()[pg.name][:2]
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    pg.execute(migration, f"{pg.name}_refresh")
    with pytest.raises(GuardError, match=words):
        pg("ready", run_id=run_id)
    assert pg.oids()[pg.name][:2] == before


def test_rollback_and_back_again(pg: Any, dump: Any, newer_dump: Any) -> None:
    """Rollback is undone by itself, carries preserved rows both ways, and the rejected dump does not come back by itself."""
    pg.options["preserve"] = TOKEN
    pg.whole(dump)
    pg.whole(newer_dump)
    pg.execute("UPDATE oauth_token SET token = 'made while the newer dump was in'")
    result = pg("previous")
    assert result["changed"]
    assert str(dump) in result["dump"]["path"]
    assert pg.rows("SELECT count(*) FROM client_client") == [(20,)]
    assert pg.rows("SELECT token FROM oauth_token") == [("made while the newer dump was in",)]
    assert set(pg.oids()) == {pg.name, f"{pg.name}_previous"}
    assert not pg.oids()[f"{pg.name}_previous"][1]
    nightly = pg.whole(newer_dump)
    assert (nightly["action"], nightly["changed"], nightly["situation"]["word"]) == ("current", False, "rejected")
    assert pg("previous")["changed"]
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]
    assert pg.whole(newer_dump)["situation"]["word"] == "current"
    pg("previous")
    assert pg.whole(newer_dump, force=True)["changed"]
    assert pg.whole(newer_dump)["situation"]["word"] == "current"


def test_rollback_without_a_previous_database(pg: Any, dump: Any) -> None:
    """There is nothing to go back to, and that is said."""
    pg.whole(dump)
    with pytest.raises(RefreshError, match=r"no database .*_previous"):
        pg("previous")


def test_finish_runs_once_for_each_seed(pg: Any, dump: Any) -> None:
    """The operator's statements run once; a failing one leaves the seed unfinished."""
    pg.whole(dump)
    statements = ["INSERT INTO oauth_token (provider, token) VALUES ('finished', '100%')"]
    assert pg("finished", finish_sql=statements, check=True)["changed"]
    with pytest.raises(RefreshError, match=r"finish_sql\[1\]"):
        pg("finished", finish_sql=[*statements, "SELECT 1/0"])
    assert pg("finished", finish_sql=statements)["changed"]
    assert not pg("finished", finish_sql=statements)["changed"]
    assert not pg("finished", finish_sql=statements, check=True)["changed"]
    assert pg.rows("SELECT count(*) FROM oauth_token WHERE provider = 'finished'") == [(1,)]
    assert pg.whole(dump)["action"] == "current"

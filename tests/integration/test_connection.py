"""Connections and the lock, on a real server."""
from __future__ import annotations

import threading

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.postgres.connection import Login, connect
from ansible.module_utils.dev_refresh.postgres.lock import DatabaseLock, lock_key


@pytest.fixture
def owner(cluster):
    return Login(cluster.owner, cluster.owner_password, "127.0.0.1", cluster.server.port)


def test_wrong_password_is_explained_without_it(cluster, owner):
    wrong = Login(owner.user, "not-the-password", owner.host, owner.port)
    with pytest.raises(RefreshError) as caught:
        connect(wrong, "postgres", application_name="test")
    assert "refused the password" in str(caught.value)
    assert "not-the-password" not in str(caught.value)


def test_server_down_and_missing_database_are_told_apart(owner, cluster):
    with pytest.raises(RefreshError, match="no PostgreSQL server answers"):
        connect(Login(owner.user, "x" * 8, "127.0.0.1", 1), "postgres", application_name="test")
    with pytest.raises(RefreshError, match="there is no such database"):
        connect(owner, "nowhere", application_name="test")


def test_the_lock_of_a_session_that_ends_is_waited_for(owner):
    """A module that was killed holds the lock until the server notices."""
    dead = connect(owner, "postgres", application_name="dev_refresh killed run", autocommit=True)
    with dead.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (lock_key("app_dev"),))
    threading.Timer(0.4, dead.close).start()
    with DatabaseLock(owner, "app_dev", holder="next run"):
        pass


def test_second_holder_is_refused_and_told_who_works(owner):
    with DatabaseLock(owner, "app_dev", holder="first of run A"):
        with pytest.raises(RefreshError, match="first of run A") as caught, DatabaseLock(owner, "app_dev", holder="second"):
            pass
        assert caught.value.details["locked"] is True
        with DatabaseLock(owner, "other_dev", holder="elsewhere"):
            pass
    with DatabaseLock(owner, "app_dev", holder="again"):
        pass

"""Production's Xero ids are moved while the restored rows are counted; nothing of it may be seen before the counts are right."""
from __future__ import annotations

import time
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.refresh import run, sanitise, stage

MOVED = 10 + 13
REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''ids stay here''; END';
CREATE TRIGGER refuse BEFORE UPDATE ON job_job FOR EACH ROW EXECUTE FUNCTION refuse();
"""
COUNTING = """
CREATE TABLE audit (n int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit VALUES (1); RETURN NEW; END';
CREATE TRIGGER note AFTER UPDATE ON job_job FOR EACH ROW EXECUTE FUNCTION note();
"""


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many ids are left for sanitising itself."""
    left: list[int] = []
    whole = sanitise.sanitise

    def spy(work: Any) -> Any:
        done = whole(work)
        left.append(done.moved_ids)
        return done

    monkeypatch.setattr(run, "sanitise", spy)
    return left


def test_nothing_is_left_to_move(pg: Any, dump: Any, later: list[int]) -> None:
    assert pg("staged", dump=dump)["moved_ids"] == MOVED
    assert later == [0]
    assert pg.rows("SELECT count(*) FROM dev_refresh.original_ids", f"{pg.name}_refresh") == [(MOVED,)]


def test_the_operators_statements_come_first(pg: Any, dump: Any, later: list[int]) -> None:
    assert pg("staged", dump=dump, sanitise_sql=["SELECT 1"])["moved_ids"] == MOVED
    assert later == [MOVED]


def test_rows_that_a_trigger_adds_do_not_disturb_the_counts(pg: Any, production: Any) -> None:
    """The counts see the rows as they came, however slowly they are taken."""
    result = pg("staged", dump=production.dump(20, extra_sql=COUNTING))
    assert result["moved_ids"] == MOVED
    assert pg.rows("SELECT count(*) FROM audit", f"{pg.name}_refresh") == [(13,)]


def test_nothing_stays_where_the_counts_are_wrong(pg: Any, dump: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fail(_work: Any, _facts: Any) -> dict[str, int]:
        time.sleep(0.5)
        seen.extend(pg.rows("SELECT count(xero_project_id) FROM job_job", f"{pg.name}_refresh"))
        raise RefreshError("The counts are wrong.")

    monkeypatch.setattr(stage, "verify", fail)
    with pytest.raises(RefreshError, match="The counts are wrong"):
        pg("staged", dump=dump)
    assert seen == [(13,)], "the ids are in their rows until the counts are known to be right"
    assert pg.oids() == {}


def test_a_move_that_fails_is_explained_and_leaves_nothing(pg: Any, production: Any) -> None:
    with pytest.raises(RefreshError, match=r"Sanitising .* failed: ids stay here"):
        pg("staged", dump=production.dump(20, extra_sql=REFUSING))
    assert pg.oids() == {}

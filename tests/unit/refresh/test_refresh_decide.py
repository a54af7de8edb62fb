"""Situations and what follows from them."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.postgres.marker import Marker
from ansible.module_utils.dev_refresh.refresh.decide import Found, Wanted, decide
from ansible.module_utils.dev_refresh.refresh.parameters import parameters_sha256

MARKER = Marker(run_id="20260101T000000Z-aaaa", phase="live", dump_sha256="A", parameters_sha256="P", dump_created="2026-01-01T00:00:00")
LIVE = Found(exists=True, ours=True, fits=True, marker=MARKER)
STAGED = replace(LIVE, marker=replace(MARKER, phase="sanitised", dump_sha256="B"))
SAME = Wanted(sha256="A", parameters="P", run_id="20260102T000000Z-bbbb", created="2026-01-01T00:00:00")
NEWER = replace(SAME, sha256="B", created="2026-01-02T00:00:00")
ABSENT = Found()


def changed(found: Found, **more: Any) -> Found:
    """Return what was found with another marker."""
    assert found.marker is not None
    return replace(found, marker=replace(found.marker, **more))


@pytest.mark.parametrize(
    ("live", "staging", "wanted", "expected"),
    [
        (ABSENT, ABSENT, SAME, ("restore", "absent")),
        (LIVE, ABSENT, SAME, ("current", "current")),
        (LIVE, STAGED, SAME, ("current", "current")),
        (LIVE, ABSENT, replace(SAME, migrations_pending=True), ("migrate", "needs_migration")),
        (LIVE, ABSENT, replace(SAME, migrations_pending=False), ("current", "current")),
        (LIVE, ABSENT, NEWER, ("restore", "behind")),
        (LIVE, ABSENT, replace(NEWER, migrations_pending=True), ("restore", "behind")),
        (LIVE, ABSENT, replace(SAME, parameters="Q"), ("restore", "changed")),
        (LIVE, ABSENT, replace(SAME, force=True), ("restore", "forced")),
        (changed(LIVE, phase="ready"), ABSENT, SAME, ("current", "current")),
        (changed(LIVE, phase="sanitised"), ABSENT, SAME, ("restore", "drifted")),
        (replace(LIVE, fits=False), ABSENT, SAME, ("restore", "drifted")),
        (replace(LIVE, fits=False, marker=None), ABSENT, SAME, ("restore", "drifted")),
        (Found(exists=True, ours=True, was_closed=True), ABSENT, SAME, ("restore", "gated")),
        (LIVE, STAGED, NEWER, ("resume", "staged")),
        (LIVE, changed(STAGED, phase="ready"), NEWER, ("resume", "staged")),
        (LIVE, changed(STAGED, phase="migrating"), NEWER, ("restore", "behind")),
        (LIVE, changed(STAGED, phase="restored"), NEWER, ("restore", "behind")),
        (LIVE, changed(STAGED, parameters_sha256="Q"), NEWER, ("restore", "behind")),
        (LIVE, changed(STAGED, dump_sha256="C"), NEWER, ("restore", "behind")),
        (LIVE, replace(STAGED, fits=False), NEWER, ("restore", "behind")),
        (LIVE, replace(STAGED, ours=False), NEWER, ("restore", "behind")),
        (LIVE, STAGED, replace(NEWER, force=True), ("restore", "behind")),
        (LIVE, STAGED, replace(NEWER, force=True, run_id=MARKER.run_id), ("resume", "staged")),
        (changed(LIVE, extra={"rejected": ["B"]}), STAGED, NEWER, ("current", "rejected")),
        (changed(LIVE, extra={"rejected": ["B"]}), ABSENT, replace(NEWER, migrations_pending=True), ("migrate", "rejected")),
        (changed(LIVE, extra={"rejected": ["B"]}), ABSENT, replace(NEWER, force=True), ("restore", "behind")),
        (changed(LIVE, extra={"rejected": ["A"]}), ABSENT, SAME, ("current", "current")),
    ],
)
def test_every_situation_has_its_action(live: Found, staging: Found, wanted: Wanted, expected: tuple[str, str]) -> None:
    decision = decide("app_dev", live, staging, wanted)
    assert (decision.action, decision.word) == expected
    assert decision.sentence.endswith(".")
    assert not decision.refusals


@pytest.mark.parametrize(
    ("live", "wanted", "refused"),
    [
        (Found(exists=True), SAME, True),
        (Found(exists=True), replace(SAME, adopt=True), False),
        (ABSENT, replace(SAME, adopt=False), False),
        (LIVE, replace(NEWER, created="2025-12-31T00:00:00"), True),
        (LIVE, replace(NEWER, created="2025-12-31T00:00:00", force=True), False),
        (LIVE, replace(NEWER, created=None), False),
        (changed(LIVE, dump_created=None), replace(NEWER, created="2025-12-31T00:00:00"), False),
    ],
)
def test_what_may_not_be_replaced(live: Found, wanted: Wanted, refused: bool) -> None:
    assert bool(decide("app_dev", live, ABSENT, wanted).refusals) is refused


def test_parameters_that_change_the_result_change_the_hash() -> None:
    base = parameters_sha256(sanitise_sql=["a"], post_commands_sha256="x")
    assert base == parameters_sha256(sanitise_sql=("a",), post_commands_sha256="x")
    others = {
        parameters_sha256(sanitise_sql=["a", "b"], post_commands_sha256="x"),
        parameters_sha256(sanitise_sql=["a"], post_commands_sha256=None),
        parameters_sha256(sanitise_sql=["a"], post_commands_sha256="x", skip_list=["SERVER"]),
    }
    assert base not in others
    assert len(others) == 3


@pytest.mark.parametrize(
    ("live", "staging", "wanted", "words"),
    [
        (ABSENT, ABSENT, SAME, "There is no database"),
        (Found(exists=True), ABSENT, replace(SAME, adopt=True), "was not made by a refresh"),
        (LIVE, ABSENT, SAME, "is in \"app_dev\" already."),
        (LIVE, ABSENT, replace(SAME, migrations_pending=True), "migrations are pending"),
        (LIVE, ABSENT, NEWER, "came from another dump (A, made 2026-01-01T00:00:00)"),
        (LIVE, ABSENT, replace(SAME, parameters="Q"), "another sanitise list"),
        (replace(LIVE, fits=False), ABSENT, SAME, "does not fit its data"),
        (replace(LIVE, marker=None), ABSENT, SAME, "has lost its marker"),
        (changed(LIVE, phase="sanitised"), ABSENT, SAME, "was never finished"),
        (Found(exists=True, ours=True, was_closed=True), ABSENT, SAME, "left closed by a dead run"),
        (LIVE, STAGED, NEWER, "A sanitised staging database of this dump is there; the run goes on from it"),
        (LIVE, changed(STAGED, phase="migrating"), NEWER, "unfinished or outdated staging database is there and is made anew"),
        (changed(LIVE, extra={"rejected": ["B"]}), ABSENT, NEWER, "rejected by a rollback"),
        (LIVE, ABSENT, replace(SAME, force=True), "asks for it again"),
    ],
)
def test_every_situation_is_told_in_words_of_its_own(live: Found, staging: Found, wanted: Wanted, words: str) -> None:
    assert words in decide("app_dev", live, staging, wanted).sentence

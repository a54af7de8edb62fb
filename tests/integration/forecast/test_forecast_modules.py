"""What pg_refresh and xero_seed forecast is what they do next, in many generated situations; calls and quota included."""
from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.run_id import new_run_id
from forecast_situations import BEFORE, Place, situation
from xero_sandbox.testing import SandboxServer

SITUATIONS = 48
SAMPLE = (4,)
SEED_FIELDS = ("changed", "complete", "organisation", "contacts", "projects", "unclaimed", "skips", "left_out")


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    """Return a place for all situations of this file."""
    folder: Path = tmp_path_factory.mktemp("forecast")
    with SandboxServer(calls_per_minute=6000, calls_per_day=100_000) as sandbox:
        server = cluster.server
        made = Place(
            cluster.connect, server.port, server.bin_dir, server.superuser, server.password, cluster.owner, cluster.owner_password, sandbox, folder,
            "app_dev_forecast",
        )  # fmt: skip
        yield made
        made.clear()


@pytest.mark.parametrize("number", [pytest.param(n, marks=() if n in SAMPLE else pytest.mark.full) for n in range(SITUATIONS)])
def test_the_forecast_is_the_next_run(place, number, record_property):
    there = situation(number)
    print(there)
    dump = place.build(there)
    about = {"mapping": there.mapping, "entities": there.entities}

    told = place.refresh("staged", check=True, dump=dump, **about)
    swap = place.refresh("live", check=True, dump=dump, **about)
    due = told["action"] in ("restore", "resume")
    forecast = place.seed(there, check=True, **({"dump": str(dump)} if due else {}))
    assert forecast["forecast"] == "exact", forecast["forecast_reasons"]

    run_id = new_run_id()
    done = place.refresh("staged", dump=dump, run_id=run_id, **about)
    if due:
        place.refresh("ready", run_id=run_id, **about)
    live = place.refresh("live", run_id=run_id, **about)
    seeded = place.seed(there, run_id=run_id)

    assert {name: told[name] for name in ("action", "changed", "row_counts")} == {name: done[name] for name in ("action", "changed", "row_counts")}
    assert told["dump"]["sha256"] == done["dump"]["sha256"]
    assert swap["changed"] == live["changed"] == due
    assert {name: forecast[name] for name in SEED_FIELDS} == {name: seeded[name] for name in SEED_FIELDS}
    assert forecast["api"]["writes"] == seeded["api"]["writes"]
    # the run reads what the check has read, and writes what it said
    assert seeded["api"]["calls"] == forecast["api"]["calls"] + forecast["api"]["writes"]
    # the list of connections is not counted
    assert seeded["api"]["day_remaining"] == forecast["api"]["day_remaining"] - (seeded["api"]["calls"] - 1)
    assert seeded["seconds"] <= 60 * forecast["estimate"]["minutes"] + 5
    if seeded["complete"]:
        assert forecast["estimate"]["calls"] == seeded["api"]["writes"]
        verified = place.verify(there)
        assert verified["ok"], verified["findings"]
        assert verified["api"]["calls"] - 1 == forecast["estimate"]["verification"]
        assert place.seed(there, check=True)["changed"] is False
    record_property("forecasts", 1)


def test_the_situations_are_of_every_kind():
    made = [situation(number) for number in range(SITUATIONS)]
    assert {each.before for each in made} == set(BEFORE)
    for what in (lambda s: s.quota is not None, lambda s: s.where, lambda s: s.entities == ["contacts"], lambda s: s.archived, lambda s: s.projects):
        assert 3 <= sum(bool(what(each)) for each in made) < SITUATIONS
    print(f"{len(made)} situations")

"""The demo company is reset between two runs: everything in it is gone, and the organisation has another tenant id."""

from __future__ import annotations

import json
import urllib.request

import pytest


def tell(stage, method, path, body):
    """Tell the sandbox something."""
    url = f"{stage.told['xero']['url']}/sandbox/{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def tenant(stage):
    return stage.sandbox("state")["organisations"][0]["tenant_id"]


@pytest.mark.full
def test_one_run_heals_a_reset_and_without_a_connection_the_way_back_is_named(stage):
    """One scenario: reset and connected, reset and not connected, connected again."""
    first = stage.run()
    assert first.code == 0, first.output
    former = tenant(stage)
    made = {entity: first.report["xero"][entity]["created"] + first.report["xero"][entity]["linked"] for entity in ("contacts", "projects")}

    assert tell(stage, "POST", f"organisations/{former}/reset", {"reconnect": True})["tenant_id"] != former
    healed = stage.run("--diff")
    assert healed.code == 0, healed.output
    assert stage.world.disagreements() == []
    assert healed.report["database"]["action"] == "current"
    for entity, count in made.items():
        assert healed.report["xero"][entity]["stale"] == count
        assert healed.report["xero"][entity]["created"] == count
    assert f"The last seed was in another organisation, \"{first.report['xero']['organisation']['name']}\" ({former})" in healed.report["xero"]["msg"]
    shown = " ".join(healed.output.split())
    assert former in shown, "the diff names the organisation of last time"
    assert healed.report["verify"]["ok"]
    again = stage.run()
    assert again.changed == 0, again.output

    latest = tell(stage, "POST", f"organisations/{tenant(stage)}/reset", {"reconnect": False})["tenant_id"]
    before = stage.everything()
    lost = stage.run()
    assert lost.code == 2, lost.output
    shown = " ".join(lost.output.split())
    assert "connected to no organisation" in shown
    assert "playbooks/connect_xero.yml" in shown
    assert "Nothing was changed" in shown
    assert stage.everything() == before

    tell(stage, "POST", "connections", {"client_id": stage.told["xero"]["client_id"], "tenant_id": latest})
    back = stage.run()
    assert back.code == 0, back.output
    assert stage.world.disagreements() == []

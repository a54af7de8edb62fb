"""The limits, in fixed and rolling windows, with time handed in."""
from __future__ import annotations

import pytest
from xero_sandbox.limits import Limits
from xero_sandbox.settings import SettingError, Settings

WHO = ("app", "tenant")


def limits(**settings):
    made = Settings()
    made.change({"calls_per_minute": 3, "minute_phase": 0.0, **settings})
    return Limits(made)


def test_a_fixed_window_turns_at_its_phase():
    counted = limits(minute_phase=20.0)
    assert [counted.count(*WHO, 600 + second).problem for second in (21, 40, 79, 79.5)] == [None, None, None, "minute"]
    refused = counted.count(*WHO, 679.5)
    assert refused.headers["X-MinLimit-Remaining"] == "0"
    assert refused.headers["Retry-After"] == "1"
    fresh = counted.count(*WHO, 680)
    assert (fresh.problem, fresh.headers["X-MinLimit-Remaining"]) == (None, "2")


def test_a_rolling_window_frees_a_call_after_a_minute():
    counted = limits(minute_mode="rolling")
    assert [counted.count(*WHO, 1000 + second).problem for second in (0, 30, 59, 59.9)] == [None, None, None, "minute"]
    assert counted.count(*WHO, 1059.9).headers["Retry-After"] == "1"
    assert counted.count(*WHO, 1060).problem is None
    assert counted.count(*WHO, 1060.1).headers["Retry-After"] == "30"


def test_each_tenant_has_its_own_turn_and_count():
    counted = limits(minute_phase=None)
    assert counted.turn_of_minute("a") != counted.turn_of_minute("b")
    for _ in range(3):
        counted.count("app", "a", 1000)
    assert counted.count("app", "a", 1000).problem == "minute"
    assert counted.count("app", "b", 1000).problem is None
    assert counted.count("other", "a", 1000).problem is None


def test_the_day_and_the_app_have_limits():
    counted = limits(calls_per_day=2)
    assert [counted.count(*WHO, 1000 + n).problem for n in range(3)] == [None, None, "day"]
    refused = counted.count(*WHO, 1004)
    assert 0 < int(refused.headers["Retry-After"]) <= 86400
    assert refused.headers["X-MinLimit-Remaining"] == "1"
    assert counted.count(*WHO, 1000 + 86400).problem is None
    counted = limits(app_calls_per_minute=1)
    assert [counted.count("app", tenant, 1000).problem for tenant in ("a", "b")] == [None, "appminute"]
    assert "Retry-After" not in counted.count("app", "c", 1000).headers


def test_refused_calls_count_only_if_set():
    for counts, left in ((False, "9"), (True, "8")):
        counted = limits(calls_per_minute=1, calls_per_day=10, count_refused=counts)
        counted.count(*WHO, 1000)
        assert counted.count(*WHO, 1001).headers["X-DayLimit-Remaining"] == left


def test_calls_of_others_can_be_spent():
    counted = limits()
    counted.spend(*WHO, 1000, minute=2, day=10)
    assert counted.count(*WHO, 1001).headers["X-MinLimit-Remaining"] == "0"
    assert counted.count(*WHO, 1001).problem == "minute"


def test_too_many_calls_at_once_are_refused():
    counted = limits()
    assert [counted.enter(*WHO) for _ in range(6)] == [True] * 5 + [False]
    counted.leave(*WHO)
    counted.leave(*WHO)
    assert counted.enter(*WHO)


def test_counters_survive_saving():
    counted = limits()
    counted.count(*WHO, 1000)
    again = limits()
    again.load(counted.as_list())
    assert again.count(*WHO, 1001).headers["X-MinLimit-Remaining"] == "1"


@pytest.mark.parametrize("values", [{"nonsense": 1}, {"calls_per_minute": "60"}, {"calls_per_minute": True}, {"minute_mode": "odd"}, {"latency": -1},
                                    {"minute_seconds": 0}])
def test_a_wrong_setting_changes_nothing(values):
    settings = Settings()
    with pytest.raises(SettingError):
        settings.change({"calls_per_day": 1, **values})
    assert settings.calls_per_day == 5000

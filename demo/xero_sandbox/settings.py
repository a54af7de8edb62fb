"""Everything about the sandbox that can be set, at the start or while it runs."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


class SettingError(ValueError):
    """A setting that does not exist or cannot have this value."""


@dataclass(slots=True)
class Settings:
    """The limits, the delays and the answers to questions that Xero's documentation leaves open."""

    calls_per_minute: int = 60
    calls_per_day: int = 5000
    concurrent_calls: int = 5
    app_calls_per_minute: int = 10000
    minute_mode: str = "fixed"  # fixed | rolling
    minute_phase: float | None = None  # seconds after the full minute at which fixed windows turn; None: another moment for each tenant
    minute_seconds: float = 60.0  # length of the "minute"; tests shorten it
    count_refused: bool = False  # whether a call answered 429 counts too
    latency: float = 0.0  # seconds a call takes, half of it before the call is counted and done
    access_token_seconds: int = 1800
    refresh_token_seconds: int = 60 * 24 * 3600
    refresh_grace_seconds: int = 1800
    code_seconds: int = 300
    idempotency_seconds: float = 360.0
    consent: str = "allow"  # allow | deny: what the user of the authorise page answers
    number_unique_over_archived: bool = True
    partial_success: bool = False  # with summarised errors: whether the good elements of a bad batch are stored
    default_project_states: str = "INPROGRESS"  # which projects are listed when the call does not say
    project_order: str = "created"  # created | newest | name
    project_name_max: int = 100
    project_name_unique: bool = False
    projects_refused_status: int = 401  # 401 | 403: the answer of an organisation without Projects
    scope_refused_status: int = 401  # 401 | 403: the answer to a token without the scope
    save_each_write: bool = False  # save the state before each write is answered: nothing is lost by a kill, but it is slow
    list_maximum: int = 100_000  # contacts; a longer list is refused

    def change(self, values: Mapping[str, Any]) -> None:
        """Set several settings; none is changed if one is wrong."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise SettingError(f"There is no setting {name!r}; the settings are {', '.join(known)}")
            checked[name] = _checked(name, known[name], value)
        for name, value in checked.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings."""
        return asdict(self)


CHOICES: dict[str, tuple[object, ...]] = {
    "minute_mode": ("fixed", "rolling"),
    "consent": ("allow", "deny"),
    "project_order": ("created", "newest", "name"),
    "projects_refused_status": (401, 403),
    "scope_refused_status": (401, 403),
}


def _checked(name: str, current: object, value: Any) -> Any:
    """Return the value in the setting's own type, or raise SettingError."""
    if name == "minute_phase":
        wanted: tuple[type, ...] = (int, float, type(None))
    elif isinstance(current, bool):
        wanted = (bool,)
    elif isinstance(current, float):
        wanted = (int, float)
    else:
        wanted = (type(current),)
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise SettingError(f"The setting {name} cannot be {value!r}")
    if name in CHOICES and value not in CHOICES[name]:
        raise SettingError(f"The setting {name} must be one of {', '.join(map(str, CHOICES[name]))}, not {value!r}")
    if isinstance(value, int | float) and not isinstance(value, bool) and (value < 0 or (name == "minute_seconds" and value == 0)):
        raise SettingError(f"The setting {name} must not be {value!r}")
    return value

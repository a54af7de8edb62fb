"""Collect what the phases leave with a host into the report's record (pure: results in, record out)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SCHEMA = 1

PHASES = ("guard", "stage", "sanitise", "migrate", "swap", "seed", "verify", "finish")
"""In the order in which they run."""

STOPPED, GOES_ON = "Stopped at ", "it goes on where this run stopped."
"""How the playbooks' last failure begins, which repeats no reason, and where it goes over to what else was done (role guard)."""

_RANK = {"skipped": 0, "ok": 1, "changed": 2, "failed": 3}
_NOT_FOR_READERS = ("invocation", "diff", "warnings", "deprecations", "exception", "ansible_facts", "stdout", "stderr")


def iso(moment: datetime) -> str:
    """Return ``moment`` as ISO 8601 in UTC with seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class Phase:
    """One phase of one host: the worst that happened in it and the seconds that its tasks took."""

    name: str
    status: str = "skipped"
    seconds: float = 0.0

    def note(self, status: str, seconds: float) -> None:
        """Add the outcome of one task."""
        self.seconds += seconds
        if _RANK[status] > _RANK[self.status]:
            self.status = status


@dataclass(slots=True)
class HostRun:
    """What one run did on one host."""

    host: str
    started: datetime
    command: str
    playbook: str = "restore_dev"
    """The playbook's name, less its folder and ending."""
    restore_command: str = "ansible-playbook restore_dev.yml"
    """The command that refreshes this host."""
    ping_command: str = ""
    """The command that tries the connection to this host."""
    check: bool = False
    demo: bool = False
    phases: dict[str, Phase] = field(default_factory=lambda: {name: Phase(name) for name in PHASES})
    unreachable: bool = False
    refused: bool = False
    """Another run works, or has taken over: its report is not to be overwritten."""
    interrupted: bool = False
    """The run ended without Ansible's saying so."""
    failure: str | None = None
    failed_task: str | None = None
    taken_back: str = ""
    """After a swap that the app did not accept: what was done about it."""
    afterwards: str = ""
    """What else the playbook says of the state that a failure left."""
    dump: dict[str, Any] = field(default_factory=dict)
    database: dict[str, Any] = field(default_factory=dict)
    migrations: dict[str, Any] = field(default_factory=dict)
    xero: dict[str, Any] = field(default_factory=dict)
    verify: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    """What the marker answered, if the playbook only asks."""
    connected: dict[str, Any] = field(default_factory=dict)
    """What the consent led to, if the playbook connects."""
    effects: dict[str, Any] = field(default_factory=dict)
    """What a run does to databases and sessions beside the restore itself."""
    not_predicted: list[str] = field(default_factory=list)
    skipped_entries: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _guard_calls: int = 0

    def task(self, phase: str | None, *, status: str, seconds: float, action: str = "", task: str = "", result: Mapping[str, Any] | None = None) -> None:
        """Note one task's outcome; ``status`` is a phase's status or ``unreachable``."""
        result = result or {}
        if status == "unreachable":
            self.unreachable = True
            # Ansible's own first words say nothing
            self.failure = str(result.get("msg", "unreachable")).strip().removeprefix("Task failed: ")
            status = "failed"
        elif status == "failed" and self.failure is None:
            self.failure = _reason(result)
            self.failed_task = task
            self.refused = bool(result.get("locked") or result.get("fenced"))
        elif status == "failed":
            self.afterwards = beyond(_reason(result)) or self.afterwards
        if phase in self.phases:
            self.phases[phase].note(status, seconds)
        if status != "skipped":
            self._take(phase, action, result)

    def cut_off(self, phase: str | None, *, seconds: float, task: str) -> None:
        """Note that the run ended in the middle of a task, or, where there is none, before this host was done."""
        if self.failure is not None:
            return
        self.interrupted = True
        where = "in the middle of this task" if task else "before this host was done"
        message = f"The run ended {where}: it was interrupted, or one of Ansible's own processes was killed"
        self.task(phase, status="failed", seconds=seconds, task=task, result={"msg": f"{message}."})

    def _take(self, phase: str | None, action: str, result: Mapping[str, Any]) -> None:
        """Keep what a module's result adds to the report."""
        facts = result.get("ansible_facts") or {}
        self._take_not_predicted(facts.get("refresh_not_predicted"))
        if "app_migrate_missing" in facts:
            missing = [str(name) for name in facts["app_migrate_missing"]]
            self.migrations |= {"pending_before": bool(missing), "foreseen": missing}
        for warning in result.get("warnings") or []:
            if str(warning) not in self.warnings:
                self.warnings.append(str(warning))
        if action == "pg_refresh":
            self._take_refresh(phase, result)
        elif action == "pg_refresh_info" and "databases" in result:
            self._take_status(result)
        elif action == "xero_connect" and "connected" in result:
            self.connected = {name: result.get(name) for name in ("msg", "token_file", "connected", "scopes", "consent_needed")}
        elif action == "app_command":
            self._take_command(phase, result)
        elif action == "xero_seed":
            self.xero = {name: value for name, value in result.items() if name not in _NOT_FOR_READERS and not name.startswith("_")}
            limit = _argument(result, "calls_per_minute")
            self.xero["guard_calls"] = self._guard_calls
            if limit and self.xero.get("api"):
                self.xero["api"] = {**self.xero["api"], "minute_limit": int(limit)}
        elif action == "xero_organisation_info" and (result.get("api") or {}).get("calls"):
            # Xero does not count the list of connections
            self._guard_calls = int(result["api"]["calls"]) - 1
        if action == "xero_organisation_info" and result.get("resume_after") and len(result.get("findings") or []) == 1:
            self.xero = {"complete": False, "resume_after": result["resume_after"]}
        elif action == "xero_organisation_info" and not self.xero and result.get("organisation"):
            self.xero = {"organisation": result["organisation"]}
        elif action == "refresh_verify":
            lists = {name: list(result.get(name) or []) for name in ("findings", "notes")}
            self.verify = {"ok": bool(result.get("ok", False)), **lists, "checked": dict(result.get("checked") or {})}

    def _take_command(self, phase: str | None, result: Mapping[str, Any]) -> None:
        """Keep whether migrations are pending, and how many of the app's commands ran."""
        if result.get("pending") is None:
            if phase == "migrate" and result.get("changed"):
                self.migrations["commands"] = int(self.migrations.get("commands", 0)) + 1
        elif "pending_before" not in self.migrations:
            self.migrations["pending_before"] = bool(result["pending"])

    def _take_status(self, result: Mapping[str, Any]) -> None:
        """Keep what the marker says of the databases."""
        self.state = {name: result.get(name) for name in ("exists", "fits", "marker", "databases", "verdict", "next")}
        self.state["next"] = str(self.state["next"] or "").replace("ansible-playbook restore_dev.yml", self.restore_command)
        self.database = {"name": _argument(result, "name"), **({"server": _server(result)} if _server(result) else {})}

    def _take_not_predicted(self, lines: Any) -> None:
        """Keep what a dry run could not know."""
        for line in lines or []:
            if str(line) not in self.not_predicted:
                self.not_predicted.append(str(line))

    def _take_refresh(self, phase: str | None, result: Mapping[str, Any]) -> None:
        if phase == "swap" and result.get("action") == "rollback" and self.failure is not None:
            # the dump and the database of the report stay those that the run was about
            self.taken_back = str(result.get("msg") or "")
            self.database["taken_back"] = True
            return
        told_dump = result.get("dump") or {}
        # the dump that the run is about stays; later steps name the one that is in, which a rollback may have kept
        if phase in ("guard", "stage") or not self.dump.get("sha256") or told_dump.get("sha256") == self.dump["sha256"]:
            self.dump.update({name: value for name, value in told_dump.items() if value is not None})
        if result.get("database"):
            told = {name: value for name, value in result["database"].items() if value is not None}
            # what was decided is said by the staging; later phases find its result there
            if phase != "stage" and "action" in self.database:
                told.pop("action", None)
            self.database.update(told)
            if _server(result):
                self.database["server"] = _server(result)
        if result.get("action") == "rollback":
            self.database["situation"] = str(result.get("msg") or "")
            self._take_not_predicted(result.get("not_predicted"))
        if phase == "stage":
            counts, situation = result.get("row_counts") or {}, result.get("situation") or {}
            if result.get("dump") and counts.get("tables"):
                self.dump |= {"tables": counts["tables"], "rows": counts["rows"]}
            if situation.get("sentence"):
                self.database["situation"] = situation["sentence"]
            self.effects = dict(result.get("effects") or {})
            self._take_not_predicted(result.get("not_predicted"))
            self.skipped_entries = list(result.get("skipped_entries") or [])
            seconds = dict(result.get("seconds") or {})
            if result.get("changed") and "sanitise" in seconds:
                self.phases["sanitise"].note("changed", float(seconds["sanitise"]))
                self.phases["stage"].seconds = max(0.0, self.phases["stage"].seconds - float(seconds["sanitise"]))
            if result.get("action") in ("restore", "resume") and not self.check:
                self.migrations.setdefault("pending_before", True)

    @property
    def status(self) -> str:
        """Return ``unreachable``, ``failed``, ``incomplete`` or ``ok``."""
        if self.unreachable:
            return "unreachable"
        if self.xero.get("complete") is False and not self.xero.get("failed") and not self.check:
            return "incomplete"
        if self.failure is not None:
            return "failed"
        return "ok"

    @property
    def _failed_message(self) -> str:
        """Return why the run failed, and what state that left."""
        return "\n".join(filter(None, (self.failure, self.afterwards or self.taken_back)))

    @property
    def changed(self) -> bool:
        """Tell whether any phase changed something (in check mode: would change)."""
        return any(phase.status == "changed" for phase in self.phases.values())

    @property
    def next_step(self) -> str | None:
        """Return what the user does next, in one sentence, or None."""
        status = self.status
        if status == "unreachable":
            return f"Check the connection with `{self.ping_command or f'ansible -m ping {self.host}'}`, then run `{self.command}` again."
        if status == "incomplete":
            after = self.xero.get("resume_after")
            return f"Run `{self.command}` again" + (f" after {after}" if after else "") + "; it goes on where this run stopped."
        if self.interrupted:
            return f"Run `{self.command}` again; it goes on where this run stopped."
        if status == "failed":
            begun = any(phase.status != "skipped" for name, phase in self.phases.items() if name != "guard")
            return f"Mend what the message says, then run `{self.command}` again" + (f"; {GOES_ON}" if begun else ".")
        if self.state:
            return str(self.state["next"])
        if self.check and self.changed:
            return "Run the same command without --check to do this."
        return None

    def record(self, finished: datetime) -> dict[str, Any]:
        """Return the report's record, ready for JSON."""
        return {
            "schema": SCHEMA,
            "host": self.host,
            "playbook": self.playbook,
            "demo": self.demo,
            "mode": "check" if self.check else "run",
            "status": self.status,
            "changed": self.changed,
            "started": iso(self.started),
            "finished": iso(finished),
            "seconds": round((finished - self.started).total_seconds(), 1),
            "phases": [{"name": phase.name, "status": phase.status, "seconds": round(phase.seconds, 2)} for phase in self.phases.values()],
            "dump": self.dump,
            "database": self.database,
            "migrations": self.migrations,
            "xero": self.xero,
            "verify": self.verify,
            "skipped_entries": self.skipped_entries,
            "warnings": self.warnings,
            "effects": self.effects,
            "state": self.state,
            "connected": self.connected,
            "not_predicted": self.not_predicted,
            "interrupted": self.interrupted,
            "failure": {"task": self.failed_task, "message": self._failed_message} if self.failure else None,
            "next_step": self.next_step,
        }


def beyond(message: str) -> str:
    """Return what the playbooks' last failure says beside where it stopped; nothing of another message."""
    return " ".join(message.partition(GOES_ON)[2].split()) if message.startswith(STOPPED) else ""


def _reason(result: Mapping[str, Any]) -> str:
    """Return why a task failed; of a loop, the words of its first item that failed."""
    failed = next((each for each in result.get("results") or [] if isinstance(each, Mapping) and each.get("failed")), result)
    return str(failed.get("msg") or result.get("msg") or "no reason given").strip()


def _argument(result: Mapping[str, Any], name: str) -> Any:
    """Return an option that the module was called with."""
    return ((result.get("invocation") or {}).get("module_args") or {}).get(name)


def _server(result: Mapping[str, Any]) -> str:
    """Return the PostgreSQL server as its administrator reaches it."""
    host, port = _argument(result, "login_host"), _argument(result, "login_port")
    return f"{host}:{port}" if host else f"the local socket, port {port}" if port else ""

"""What a run has to do, from what it found: pure, so that every situation can be tested in a line."""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from ..errors import Finding
from ..postgres.marker import Marker
from .names import Names

Action = Literal["restore", "resume", "migrate", "current"]

RESUMABLE = ("sanitised", "ready")
"""Phases of a staging database that a later run goes on from."""
LIVE_PHASES = ("ready", "live", "rejected")
"""Phases that the live database can have: a run that died right after the swap left ``ready`` or, after a rollback, ``rejected``."""


@dataclass(frozen=True, slots=True)
class Found:
    """One database as it was found; ``fits`` says that its marker was written for this very data."""

    exists: bool = False
    ours: bool = False
    fits: bool = False
    marker: Marker | None = None
    was_closed: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the run is asked for."""

    sha256: str
    parameters: str
    run_id: str
    created: str | None = None
    force: bool = False
    adopt: bool = False
    migrations_pending: bool | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, why in one word and one sentence, and what forbids it."""

    action: Action
    word: str
    sentence: str
    refusals: tuple[Finding, ...] = ()

    @property
    def replaces_live(self) -> bool:
        """Tell whether the run ends in another database under the live name."""
        return self.action in ("restore", "resume")


def decide(name: str, live: Found, staging: Found, wanted: Wanted) -> Decision:
    """Return what has to be done with database ``name``."""
    word, sentence = _situation(name, live, wanted)
    if word in ("current", "needs_migration", "rejected") and not wanted.force:
        return Decision("migrate" if wanted.migrations_pending else "current", word, sentence)
    refusals = tuple(_refusals(name, live, wanted))
    if _resumable(staging, wanted):
        phase = staging.marker.phase if staging.marker else ""
        return Decision("resume", "staged", f"{sentence} A {phase} staging database of this dump is there; the run goes on from it.", refusals)
    if staging.exists and staging.ours:
        sentence += " An unfinished or outdated staging database is there and is made anew."
    return Decision("restore", word, sentence, refusals)


def _situation(name: str, live: Found, wanted: Wanted) -> tuple[str, str]:
    """Return the situation of the live database in a word and in a sentence."""
    marker = live.marker
    if not live.exists:
        return "absent", f'There is no database "{name}" yet.'
    if not live.ours:
        return "unmanaged", f'Database "{name}" was not made by a refresh.'
    if marker is not None and not wanted.force and wanted.sha256 in rejected_dumps(marker) and marker.dump_sha256 != wanted.sha256:
        return "rejected", f'This dump was in "{name}" and was rejected by a rollback; it is not brought back (database_restore_force does that).'
    if live.was_closed:
        return "gated", f'Database "{name}" was left closed by a dead run, so its marker cannot be read.'
    if marker is None:
        return "drifted", f'Database "{name}" has lost its marker: something else was restored into it.'
    if not live.fits:
        return "drifted", f'The marker of database "{name}" does not fit its data: it was copied, or something else was restored into it.'
    if marker.phase not in LIVE_PHASES:
        return "drifted", f'Database "{name}" stopped in phase "{marker.phase}" and was never finished.'
    if marker.dump_sha256 != wanted.sha256:
        return "behind", f'Database "{name}" came from another dump ({marker.dump_sha256[:12]}, made {marker.dump_created or "at an unknown time"}).'
    if marker.parameters_sha256 != wanted.parameters:
        return "changed", f'Database "{name}" came from this dump, with another sanitise list, skip list or post commands.'
    if wanted.force:
        return "forced", f'This dump is in "{name}" already; database_restore_force asks for it again.'
    if wanted.migrations_pending:
        return "needs_migration", f'This dump is in "{name}"; migrations are pending.'
    return "current", f'This dump is in "{name}" already.'


def rejected_dumps(marker: Marker) -> Collection[str]:
    """Return the hashes of the dumps that rollbacks rejected."""
    listed = marker.extra.get("rejected")
    return [str(entry) for entry in listed] if isinstance(listed, list) else []


def _resumable(staging: Found, wanted: Wanted) -> bool:
    """Tell whether the run may go on from the staging database."""
    marker = staging.marker
    return (
        staging.ours
        and staging.fits
        and marker is not None
        and marker.phase in RESUMABLE
        and marker.dump_sha256 == wanted.sha256
        and marker.parameters_sha256 == wanted.parameters
        # a forced run wants the dump restored now, not what another run left
        and (not wanted.force or marker.run_id == wanted.run_id)
    )


def _refusals(name: str, live: Found, wanted: Wanted) -> list[Finding]:
    """Return what forbids replacing the live database."""
    refusals: list[Finding] = []
    if live.exists and not live.ours and not wanted.adopt:
        refusals.append(
            Finding(
                f'Database "{name}" exists and was not made by a refresh',
                f'If it may be replaced (it is kept as "{Names(name).previous}"), say database_restore_adopt=true once',
            )
        )
    created = live.marker.dump_created if live.marker and live.ours else None
    if created and wanted.created and wanted.created < created and not wanted.force:
        refusals.append(
            Finding(
                f'The dump (made {wanted.created}) is older than the one in "{name}" (made {created})',
                "Give a newer dump, or say database_restore_force=true",
            )
        )
    return refusals

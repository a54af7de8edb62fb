"""Which project is which job's: the passes, each applied to all jobs before the next one."""
from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .contact_passes import Claims
from .keys import key_order
from .names import PROJECT_NAME_LENGTH, ProjectName, clean, compared, distinct_names, project_name
from .records import INPROGRESS, JobRow, Project


@dataclass(frozen=True, slots=True)
class Named:
    """A job that can be found by name: its linked contact and the project name it should have."""

    row: JobRow
    contact_id: str
    name: ProjectName


def claim_projects(rows: Sequence[JobRow], projects: Iterable[Project], contact_of: Mapping[str, str], template: str) -> Claims:
    """Return which project each job has; ``contact_of`` gives the contact of each client that has one."""
    ordered = sorted(rows, key=lambda row: key_order(row.key))
    every = {project.id: project for project in sorted(projects, key=lambda project: (project.status != INPROGRESS, project.id))}
    claims = Claims()
    _stored_id(ordered, every, claims)
    numbered = [row for row in ordered if clean(row.number)]
    named = [
        Named(row, contact_of[row.client_key], project_name(template, row.number or "", row.name))
        for row in numbered
        if row.client_key is not None and row.client_key in contact_of
    ]
    _same_name(named, every, claims)
    counts = Counter(compared(row.number) for row in numbered)
    _same_number(named, every, claims, {number for number, count in counts.items() if count > 1})
    return claims


def match_under_contact(jobs: Sequence[tuple[str, Sequence[str]]], projects: Sequence[Project]) -> dict[str, str]:
    """Return the project of each job (its key, and the names it may have) among those of one contact, by name alone."""
    found: dict[str, str] = {}
    for open_, form in itertools.product((True, False), (clean, compared)):
        free = sorted((project for project in projects if (project.status == INPROGRESS) == open_), key=lambda project: project.id)
        for key, names in jobs:
            forms = {form(name) for name in names}
            match = next((project for project in free if project.id not in found.values() and form(project.name) in forms), None)
            if key not in found and match is not None:
                found[key] = match.id
    return found


def _stored_id(rows: Sequence[JobRow], projects: Mapping[str, Project], claims: Claims) -> None:
    """Pass 1: the stored id exists, under whichever contact."""
    for row in rows:
        stored = (row.xero_id or "").lower()
        if stored in projects and stored not in claims.taken:
            claims.claim(row.key, stored, "stored id")


def _same_name(named: Sequence[Named], projects: Mapping[str, Project], claims: Claims) -> None:
    """Pass 2: the same compared name under the job's contact, INPROGRESS before CLOSED.

    Of jobs that look alike those in scope come first: a project that was made for one and not stored yet must not go to one outside. And of names
    that look alike the very same comes first: else such a project would go to a brother, in whose place it would be made once more.
    """
    for in_scope in (True, False):
        jobs = [job for job in named if job.row.in_scope == in_scope]
        for open_ in (True, False):
            for form in (clean, compared):
                _same_form(jobs, [project for project in projects.values() if (project.status == INPROGRESS) == open_], claims, form)


def _same_form(jobs: Sequence[Named], projects: Iterable[Project], claims: Claims, form: Callable[[str | None], str]) -> None:
    """Let each job have a free project whose name has the same form as one that the job may be given."""
    index: dict[tuple[str, str], list[Project]] = defaultdict(list)
    for project in projects:
        if project.id not in claims.taken:
            index[project.contact_id, form(project.name)].append(project)
    for job in jobs:
        if job.row.key in claims.ids or not index:
            continue
        names = dict.fromkeys(form(name) for name in distinct_names(job.name.text, job.row.key, PROJECT_NAME_LENGTH))
        candidates = (project for name in names for project in index.get((job.contact_id, name), ()))
        free = next((project for project in candidates if project.id not in claims.taken), None)
        if free is not None:
            claims.claim(job.row.key, free.id, "same name")


def _same_number(named: Sequence[Named], projects: Mapping[str, Project], claims: Claims, repeated: set[str]) -> None:
    """Pass 3: the same text up to the number and the literal after it; a name that fits two jobs is that of the longer beginning."""
    beginnings: dict[tuple[str, str], Named | None] = {}
    for job in named:
        if job.name.beginning is not None:
            beginnings[job.contact_id, job.name.beginning] = None if compared(job.row.number) in repeated else job
    for project in projects.values():
        if project.id in claims.taken:
            continue
        text = f"{compared(project.name)} "
        owner = next((beginnings[place] for place in ((project.contact_id, text[:end]) for end in range(len(text), 0, -1)) if place in beginnings), None)
        if owner is not None and owner.row.key not in claims.ids:
            claims.claim(owner.row.key, project.id, "same number")

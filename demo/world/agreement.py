"""Whether the live database and the organisation agree, worked out from both alone and not from what any run reported."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class LiveRows:
    """What the live database holds: clients as (key, name, Xero id), jobs as (number, client's key, Xero id), every UUID of the app's tables."""

    clients: list[tuple[str, str, str | None]]
    jobs: list[tuple[int, str | None, str | None]]
    uuids: set[str]


def compare(live: LiveRows, organisation: Mapping[str, Any], production_ids: Iterable[str]) -> list[str]:
    """Return one sentence for each thing that is not as it must be after a refresh; ``organisation`` is the sandbox's own state."""
    contacts = {row["ContactID"]: row for row in organisation["contacts"]}
    projects = {row["projectId"]: row for row in organisation["projects"]}
    found = []
    for entity, ids in (("contact", [xero_id for _, _, xero_id in live.clients]), ("project", [xero_id for _, _, xero_id in live.jobs])):
        found += [f"{count} rows share {entity} {xero_id}" for xero_id, count in Counter(filter(None, ids)).items() if count > 1]
    contact_of: dict[str, str] = {}
    for key, name, xero_id in live.clients:
        if not name.strip():
            if xero_id:
                found.append(f"Client {key} has no name and yet contact {xero_id}")
        elif not xero_id:
            found.append(f"Client {key} ({name}) has no contact")
        elif contacts.get(xero_id, {}).get("ContactStatus") != "ACTIVE":
            found.append(f"Client {key} ({name}) has contact {xero_id}, which is not an active one of the organisation")
        else:
            contact_of[key] = xero_id
    for number, client, xero_id in live.jobs:
        if client not in contact_of:
            if xero_id:
                found.append(f"Job {number} has no client in Xero and yet project {xero_id}")
        elif not xero_id:
            found.append(f"Job {number} has no project")
        elif xero_id not in projects:
            found.append(f"Job {number} has project {xero_id}, which is not in the organisation")
        elif projects[xero_id]["contactId"] != contact_of[client]:
            found.append(f"Job {number} has project {xero_id}, which belongs to another contact than its client's")
    names = Counter(" ".join(row["Name"].split()).casefold() for row in contacts.values() if row["ContactStatus"] == "ACTIVE")
    found += [f"{count} active contacts are called {name}" for name, count in names.items() if count > 1]
    found += [f"Production's Xero id {xero_id} is in the live database" for xero_id in sorted(live.uuids.intersection(production_ids))]
    return found


def read_live(told: Mapping[str, Any]) -> LiveRows:
    """Return the live database's rows; ``told`` is the world file."""
    postgres = told["postgres"]
    session = psycopg2.connect(
        host=postgres["host"], port=postgres["port"], dbname=told["database"], user=postgres["superuser"], password=postgres["superuser_password"]
    )
    session.set_session(readonly=True, isolation_level="REPEATABLE READ")
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT id::text, name, xero_contact_id FROM client_client ORDER BY id")
            clients = cursor.fetchall()
            cursor.execute("SELECT job_number, client_id::text, xero_project_id FROM job_job ORDER BY job_number")
            jobs = cursor.fetchall()
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            uuids: set[str] = set()
            for (table,) in cursor.fetchall():
                cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier("public", table)))
                uuids.update(uuid for (row,) in cursor for uuid in UUID.findall(row.lower()))
    finally:
        session.close()
    return LiveRows(clients, jobs, uuids)

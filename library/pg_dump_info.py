#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: what a pg_dump archive says and contains."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_dump_info
short_description: Check a PostgreSQL dump and tell what is in it
version_added: "0.1.0"
description:
  - Reads a dump made by C(pg_dump) once, wholly, without a server, and returns its checksum, versions, time, row counts, extensions and
    the entries that don't belong in a development database.
  - The same pass is the integrity check. A listing by C(pg_restore -l) would accept a dump that is cut off.
  - Custom format and directory format are accepted, the latter with a manifest of checksums (C(<directory>.sha256) beside it or C(SHA256SUMS) in it).
    Plain SQL, tar archives and dumps wrapped in gzip are refused, with the command that makes the right one.
  - Changes nothing.
options:
  path:
    description:
      - The dump, or a pattern such as V(/srv/dumps/prod-*.dump).
      - Of a pattern the newest by the archive's own creation time counts. Checksums and unfinished files (C(.sha256), C(.tmp), C(.part)) never match.
    type: str
    required: true
  checksum:
    description:
      - Checksum that the dump must have, as V(sha256:<64 hexadecimal digits>). Not with a pattern.
      - Left out, a file C(<dump>.sha256) beside the dump is used (the format of C(sha256sum), or the bare digits). Without one there is a warning.
      - Of a directory it is the checksum of its manifest.
    type: str
  require_checksum:
    description: Count a missing checksum as a finding.
    type: bool
    default: false
  bin_dir:
    description: Folder of PostgreSQL's client programs. Left out, they are searched for on the PATH and in the usual places.
    type: path
  server_major:
    description:
      - Major version of the server that the dump is for. The client programs must be of the same one, and the dump not of a later one.
      - Left out, the newest client programs found are used.
    type: int
  ledger:
    description: Table that lists the applied migrations; its rows are returned.
    type: dict
    suboptions:
      table:
        description: Its name, with the schema before it if that is not C(public).
        type: str
        default: django_migrations
      columns:
        description: Columns to return.
        type: list
        elements: str
        default: [app, name]
  sparing:
    description:
      - Use client programs only where the dump cannot be read without them (custom format compressed by gzip, and directories, can).
      - For a dump that will be restored on another machine.
    type: bool
    default: false
  fail_on_findings:
    description: Fail if the dump must not be restored. Otherwise only RV(findings) tells.
    type: bool
    default: true
  deadline:
    description: Seconds after which reading is given up.
    type: int
    default: 3600
attributes:
  check_mode:
    description: Can run in check mode and return the facts without changing anything.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
requirements:
  - Python 3.11 or later
  - pg_restore
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Check the newest dump of production
  pg_dump_info:
    path: /srv/dumps/prod-*.dump
    require_checksum: true
    server_major: 15
  register: dump

- name: Look at a dump whatever is wrong with it, and at the migrations in it
  pg_dump_info:
    path: /srv/dumps/prod.dump
    ledger: {table: django_migrations, columns: [app, name]}
    fail_on_findings: false
  register: dump
"""

RETURN = r"""
dump_path:
  description: The dump; of a pattern the one that was chosen.
  type: str
  returned: always
  sample: /srv/dumps/prod-2026-11-21.dump
sha256:
  description: Its checksum; of a directory that of the sorted list of its files' checksums. Empty if it could not be read.
  type: str
  returned: always
  sample: 5c1d2be7c9a55c4b8fd3b1cf5d7a0b9a6ab2b6b1e35e6b0a2e6d2f4f8f1f9f1c
checksum_source:
  description: Where the expected checksum is from; C(option), C(manifest), C(none), or the file beside the dump.
  type: str
  returned: always
  sample: /srv/dumps/prod-2026-11-21.dump.sha256
bytes:
  description: Size of the file, or of all files of a directory.
  type: int
  returned: always
  sample: 9312345
format:
  description: C(custom) or C(directory).
  type: str
  returned: always
  sample: custom
archive_version:
  description: Version of the archive format.
  type: str
  returned: always
  sample: "1.14"
server_version:
  description: Version of the server that was dumped.
  type: str
  returned: always
  sample: "15.18"
dump_version:
  description: Version of pg_dump.
  type: str
  returned: always
  sample: "15.18"
compression:
  description: C(none), C(gzip), C(lz4) or C(zstd).
  type: str
  returned: always
  sample: gzip
created:
  description: When the dump was begun, in the local time of the machine that made it (an archive names no time zone).
  type: str
  returned: always
  sample: "2026-11-21T02:00:03"
source_database:
  description: Name of the database that was dumped.
  type: str
  returned: always
  sample: jobs_prod
encoding:
  description: Encoding of the dump.
  type: str
  returned: always
  sample: UTF8
locale:
  description: Locale of the database that was dumped; empty if the dump does not say.
  type: str
  returned: always
  sample: en_NZ.UTF-8
rows:
  description:
    - Rows of each table, by C(schema.table).
    - Null where they cannot be counted; in a dump of INSERT statements, and in tables to which an extension adds rows of its own.
  type: dict
  returned: always
  sample: {public.client_client: 412, public.job_job: 620}
uncompressed_bytes:
  description: Size of all rows as text.
  type: int
  returned: always
  sample: 33512034
extensions:
  description: Extensions that the dump needs.
  type: list
  elements: str
  returned: always
  sample: [pg_trgm]
skipped_entries:
  description: Entries that a restore into a development database leaves out, each with the reason.
  type: list
  elements: dict
  returned: always
  sample: [{kind: SUBSCRIPTION, name: to_warehouse, why: it would subscribe to production}]
ledger:
  description: The rows of O(ledger); null without the option or the table.
  type: list
  elements: list
  returned: always
  sample: [[client, 0001_initial]]
complete:
  description: Whether the whole dump was read.
  type: bool
  returned: always
  sample: true
findings:
  description: What keeps the dump from being restored, each with what to do. Empty for a good dump.
  type: list
  elements: str
  returned: always
  sample: []
seconds:
  description: How long it took.
  type: float
  returned: always
  sample: 0.21
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.dump.facts import LedgerSpec
from ansible.module_utils.dev_refresh.dump.inspection import inspect_dump
from ansible.module_utils.dev_refresh.errors import GuardError
from ansible.module_utils.dev_refresh.reporting import run_module


def main() -> None:
    """Inspect the dump and report its facts."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "str", "required": True},
            "checksum": {"type": "str"},
            "require_checksum": {"type": "bool", "default": False},
            "bin_dir": {"type": "path"},
            "server_major": {"type": "int"},
            "ledger": {
                "type": "dict",
                "options": {
                    "table": {"type": "str", "default": "django_migrations"},
                    "columns": {"type": "list", "elements": "str", "default": ["app", "name"]},
                },
            },
            "sparing": {"type": "bool", "default": False},
            "fail_on_findings": {"type": "bool", "default": True},
            "deadline": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    params = module.params
    ledger = LedgerSpec(params["ledger"]["table"], tuple(params["ledger"]["columns"])) if params["ledger"] else None

    def work() -> dict[str, object]:
        done = inspect_dump(
            params["path"],
            checksum=params["checksum"],
            require_checksum=params["require_checksum"],
            bin_dir=params["bin_dir"],
            ledger=ledger,
            server_major=params["server_major"],
            deadline=params["deadline"],
            sparing=params["sparing"],
        )
        if done.facts.findings and params["fail_on_findings"]:
            raise GuardError(done.facts.findings, details=done.as_result())
        for warning in done.warnings:
            module.warn(warning)
        return {"changed": False, **done.as_result()}

    run_module(module, work)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Restore a dump beside a database, sanitise it and swap it in."""
from __future__ import annotations

DOCUMENTATION = r"""
---
module: pg_refresh
short_description: Restore a PostgreSQL dump beside a database, sanitise it and swap it in
description:
  - Restores a dump of production into C(<name>_refresh), proves that all of it arrived, and sanitises it there, unseen by the app.
  - After the app's migrations, which are not this module's work, it puts the result in place of the live database with three renames in one transaction.
  - The former live database is kept, closed, as C(<name>_previous), and O(state=previous) puts it back.
  - Whatever fails before the swap leaves the live database as it was. A run that died is continued by the same command.
  - Databases that no refresh has made are never dropped.
  - The rows of ordinary tables are loaded by sessions of its own, frozen and several tables at once; everything else is done by C(pg_restore).
  - Two roles do the work. The administrator (O(login_user)) creates and renames databases and ends sessions; the owner (O(owner)) restores,
    so that nothing in a dump runs with more rights than the app has.
options:
  name:
    description: The live database.
    type: str
    required: true
  state:
    description:
      - V(staged) restores and sanitises the dump in C(<name>_refresh), unless the live database came from it already or a finished staging database is there.
      - V(ready) checks the staging database after its migrations, and allows the swap.
      - V(live) copies the rows of O(preserve), swaps, and drops what is not to be kept.
      - V(previous) puts the previous database back. The dump left behind is rejected - V(staged) does not bring it back. Run it again to undo it.
      - V(finished) runs O(finish_sql) once for each seed of the live database.
    type: str
    choices: [staged, ready, live, previous, finished]
    required: true
  owner:
    description: The app's role. It owns the database and runs the restore. Must be able to log in and must not be a superuser.
    type: str
    required: true
  owner_password:
    description: Password of O(owner). Left out, the server must let it in without one.
    type: str
  owner_host:
    description: Host by which O(owner) connects. Left out, O(login_host); if that is empty too, V(localhost) with a password and the socket without one.
    type: str
  dump:
    description:
      - The dump - a custom-format archive, or a directory-format one with a manifest of checksums - or a pattern, of which the newest archive counts.
      - Needed for O(state=staged), and for an exact forecast of the other states in check mode.
    type: path
  dump_facts:
    description:
      - In check mode, what M(pg_dump_info) has returned for a dump that is on another machine and would be brought here first.
      - Without check mode it means nothing.
    type: dict
  checksum:
    description: Checksum of the dump, C(sha256:<64 hexadecimal digits>). Left out, a C(<dump>.sha256) beside it is used.
    type: str
  require_checksum:
    description: Whether a dump without a checksum is refused.
    type: bool
    default: false
  allowed_names:
    description:
      - Regular expression that O(name) must match somewhere, whatever its case.
      - Left out, one of C(dev), C(demo), C(test), C(uat), C(sandbox) and C(hotfix) must be a word of the name.
      - A name with C(prod), C(production) or C(live) as a word is always refused.
    type: str
  forbidden_hosts:
    description: Names and addresses of servers that are never touched.
    type: list
    elements: str
    default: []
  adopt:
    description: Whether an existing live database that no refresh has made may be replaced. It is kept as the previous database.
    type: bool
    default: false
  jobs:
    description: Parallel restore jobs. Left out, the number of CPUs of the host.
    type: int
  bin_dir:
    description: Folder of C(pg_restore). Left out, it is searched for; its major version must be the server's.
    type: path
  sanitise_sql:
    description:
      - Statements run on the staging database after the restore, in one transaction; materialised views are then filled anew.
      - Another list makes the live database out of date.
    type: list
    elements: str
    default: []
  private_tables:
    description: Tables, or dictionaries with C(table) and C(columns), that must be empty (the columns null or empty) after sanitising.
    type: list
    elements: raw
    default: []
  preserve:
    description: Rows of the live database that are carried over the swap, and back on O(state=previous).
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: The table, or C(schema.table).
        type: str
        required: true
      key:
        description: Column, or list of columns, that tells the rows apart. Left out, the primary key.
        type: raw
      columns:
        description: Columns to carry over for the rows that both databases have. Left out, the whole table becomes what it is in the live database.
        type: list
        elements: str
        default: []
  keep_previous:
    description: Whether the former live database is kept.
    type: bool
    default: true
  reject:
    description:
      - Whether the dump that O(state=previous) leaves behind is rejected.
      - V(false) is for taking back a swap of the same run, since the app did not work with the new database. The next run tries that dump again.
    type: bool
    default: true
  force:
    description: Restore even if the dump is in already, was rejected, or is older than the one that is in.
    type: bool
    default: false
  migrations_pending:
    description: Whether migrations are pending on the live database, where that is known. With a current dump it makes RV(action) V(migrate).
    type: bool
  mapping:
    description:
      - Which tables and columns hold clients and jobs, as O(xero_seed#module:mapping); their Xero ids are moved into the marker schema.
    type: dict
    default: {}
  entities:
    description: The entities of O(mapping) that count.
    type: list
    elements: str
    choices: [contacts, projects]
    default: [contacts, projects]
  ledger_table:
    description: Table that lists the applied migrations. A dump that has neither it nor a mapped table is another app's and refused.
    type: str
  post_commands_sha256:
    description: Hash of the commands that run after the migrations. Another hash makes the live database out of date.
    type: str
  finish_sql:
    description: Statements run by O(state=finished).
    type: list
    elements: str
    default: []
  run_id:
    description:
      - Id of the run, the same in all its tasks. A newer run takes over, and the older one's next task fails.
      - Left out, V(staged) makes a new one and the other states go on with what they find.
    type: str
  progress_file:
    description: File to which progress is appended, as lines of JSON.
    type: path
  deadline:
    description: Seconds after which a restore is given up.
    type: int
    default: 7200
extends_documentation_fragment:
  - dev_refresh_postgresql
attributes:
  check_mode:
    support: full
    description: Says what would be done and why, and reads only. RV(not_predicted) lists what cannot be known before.
  diff_mode:
    support: full
    description: Shows which dump is in which database, and the rows of the tables that have more or fewer - 50 of them, or all with C(-vv).
author:
  - The dev_refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Restore last night's dump beside the development database
  pg_refresh:
    name: app_dev
    state: staged
    dump: /srv/dumps/app-*.dump
    owner: app_owner
    owner_password: "{{ database_restore_owner_password }}"
    sanitise_sql:
      - UPDATE core_settings SET xero_sync = false
    private_tables: [oauth_token]
    run_id: "{{ run_id }}"
  become: true
  become_user: postgres
  register: staged

- name: Check it after its migrations
  pg_refresh:
    name: app_dev
    state: ready
    owner: app_owner
    owner_password: "{{ database_restore_owner_password }}"
    run_id: "{{ run_id }}"

- name: Put it in place, with the tokens of the development organisation
  pg_refresh:
    name: app_dev
    state: live
    owner: app_owner
    owner_password: "{{ database_restore_owner_password }}"
    preserve:
      - table: oauth_token
    run_id: "{{ run_id }}"

- name: Put the previous database back
  pg_refresh:
    name: app_dev
    state: previous
    owner: app_owner
    owner_password: "{{ database_restore_owner_password }}"
"""

RETURN = r"""
action:
  description: What was done, or in check mode would be - C(restore), C(resume), C(migrate), C(current); C(ready); C(swap); C(rollback); C(finish).
  returned: always
  type: str
  sample: restore
phase:
  description: How far the working database has got - C(sanitised), C(ready) or C(live).
  returned: always
  type: str
  sample: sanitised
situation:
  description: What was found, as one C(word) and one C(sentence). Null in states that do not decide.
  returned: always
  type: dict
  sample: {word: behind, sentence: "Database \"app_dev\" came from another dump (3f2a9c51d07b, made 2026-11-20T02:00:11)."}
dump:
  description: The dump that is restored or in.
  returned: always
  type: dict
  sample: {path: /srv/dumps/app-20261121.dump, sha256: 9d1c..., bytes: 9300000, created: "2026-11-21T02:00:09"}
finished:
  description: Whether the live database was seeded, verified and finished by a run that came to its end.
  returned: for V(staged) and V(previous)
  type: bool
  sample: true
database:
  description: The live database, what happened to it, the database that later tasks work on, and the previous database if there is one.
  returned: always
  type: dict
  sample: {name: app_dev, working_name: app_dev_refresh, action: restore, previous: app_dev_previous}
row_counts:
  description: Tables and rows of the dump.
  returned: always
  type: dict
  sample: {tables: 40, rows: 145633}
skipped_entries:
  description: Entries of the dump that don't belong in a development database and are left out.
  returned: always
  type: list
  elements: dict
  sample: [{kind: SUBSCRIPTION, name: replica, why: it would subscribe to production}]
seconds:
  description: Seconds of C(stage) and C(sanitise), and for how long the live database was C(closed).
  returned: always
  type: dict
  sample: {stage: 1.2, sanitise: 0.1}
preserved:
  description: Rows carried over, by table.
  returned: always
  type: dict
  sample: {oauth_token: 1}
moved_ids:
  description: Xero ids of production that were left out of the rows, or moved out of them.
  returned: always
  type: int
  sample: 812
repaired:
  description: What an earlier run that died had left behind and was put right, one sentence each.
  returned: always
  type: list
  elements: str
  sample: []
effects:
  description:
    - Where live is to be replaced - databases that are C(renamed) and C(dropped), C(sessions_ended), rows C(preserved), C(space) needed and free in bytes,
      and C(seconds_last_time) that the restore took.
  returned: always
  type: dict
  sample: {renamed: [{from: app_dev_refresh, to: app_dev}], dropped: [], sessions_ended: [], space: {needed: 90000000, free: 8000000000}}
not_predicted:
  description: In check mode, what cannot be known before the run.
  returned: always
  type: list
  elements: str
  sample: []
run_id:
  description: Id of the run.
  returned: always
  type: str
  sample: 20261122T081500Z-1f3a9c
findings:
  description: Everything that keeps the refresh from being safe, each with its remedy.
  returned: when it was refused
  type: list
  elements: str
  sample: ["Database \"app_dev\" exists and was not made by a refresh. If it may be replaced, say database_restore_adopt=true once."]
"""

import sys

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.mapping import ENTITIES
from ansible.module_utils.dev_refresh.postgres.options import POSTGRESQL_OPTIONS
from ansible.module_utils.dev_refresh.refresh.request import DIFF_LINES
from ansible.module_utils.dev_refresh.refresh.run import refresh
from ansible.module_utils.dev_refresh.reporting import run_module

PRESERVE_OPTIONS = {
    "table": {"type": "str", "required": True},
    "key": {"type": "raw", "no_log": False},
    "columns": {"type": "list", "elements": "str", "default": []},
}

OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "required": True, "choices": ["staged", "ready", "live", "previous", "finished"]},
    "owner": {"type": "str", "required": True},
    "owner_password": {"type": "str", "no_log": True},
    "owner_host": {"type": "str"},
    "dump": {"type": "path"},
    "dump_facts": {"type": "dict"},
    "checksum": {"type": "str"},
    "require_checksum": {"type": "bool", "default": False},
    "allowed_names": {"type": "str"},
    "forbidden_hosts": {"type": "list", "elements": "str", "default": []},
    "adopt": {"type": "bool", "default": False},
    "jobs": {"type": "int"},
    "bin_dir": {"type": "path"},
    "sanitise_sql": {"type": "list", "elements": "str", "default": []},
    "private_tables": {"type": "list", "elements": "raw", "default": []},
    "preserve": {"type": "list", "elements": "dict", "default": [], "options": PRESERVE_OPTIONS},
    "keep_previous": {"type": "bool", "default": True},
    "reject": {"type": "bool", "default": True},
    "force": {"type": "bool", "default": False},
    # checked by ourselves, so that its mistakes come together with all others
    "mapping": {"type": "dict", "default": {}},
    "entities": {"type": "list", "elements": "str", "default": list(ENTITIES), "choices": list(ENTITIES)},
    "migrations_pending": {"type": "bool"},
    "post_commands_sha256": {"type": "str"},
    "ledger_table": {"type": "str"},
    "finish_sql": {"type": "list", "elements": "str", "default": []},
    "run_id": {"type": "str"},
    "progress_file": {"type": "path"},
    "deadline": {"type": "int", "default": 7200},
}


def main() -> None:
    module = AnsibleModule(argument_spec={**POSTGRESQL_OPTIONS, **OPTIONS}, supports_check_mode=True, required_if=[("state", "staged", ["dump"])])

    def work() -> dict[str, object]:
        # as with the other modules, more words with -vv
        lines = sys.maxsize if module._verbosity >= 2 else DIFF_LINES
        result = refresh(module.params, check_mode=module.check_mode, diff_lines=lines)
        for warning in result.get("warnings_found", []):
            module.warn(warning)
        return result if module._diff else {key: value for key, value in result.items() if key != "diff"}

    run_module(module, work)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: bring a dump to this host, from the controller or from an https address."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dump_incoming
short_description: Bring a dump to the host
version_added: "0.1.0"
description:
  - Brings a dump from the controller or from an https address into a folder of the host, unless it is there with the right checksum.
  - It arrives under another name and is renamed when it is whole; its mode is 0600. Earlier dumps that this module brought for the same O(label) are
    removed then.
  - An action plugin of the same name sends the controller's file. It needs no more than a shell on the host, also with C(become).
options:
  source:
    description:
      - Path or pattern of a dump on the controller, or its https address.
      - Of a pattern the newest by the archive's own creation time counts.
    type: str
  folder:
    description: Folder on the host. Made with mode 0700 if it is not there; refused if another user owns it or may write to it.
    type: path
    required: true
  label:
    description: What the dump is for, such as the database's name.
    type: str
    required: true
  checksum:
    description:
      - The checksum that the dump must have, as V(sha256:<64 hexadecimal digits>).
      - Left out, C(<source>.sha256) is read. An address needs one of the two.
    type: str
  require_checksum:
    description: Refuse a dump of the controller without a checksum, too.
    type: bool
    default: false
  step:
    description: For the action plugin. What to do of its work.
    type: str
    choices: [all, look, prepare, finish]
    default: all
  file_name:
    description: For the action plugin. The dump's name in O(folder).
    type: str
  bytes:
    description: For the action plugin. The dump's size.
    type: int
    default: 0
  proven:
    description: For the action plugin. Whether O(checksum) is from where the dump was made.
    type: bool
    default: true
  deadline:
    description: Seconds after which a download is given up.
    type: int
    default: 7200
attributes:
  check_mode:
    description: Says whether the dump would be brought; writes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
requirements:
  - Python 3.11 or later
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Bring the newest dump of the controller
  dump_incoming:
    source: /srv/backups/jobs_prod_*.dump
    folder: /var/tmp/dev_refresh
    label: jobs_dev
  register: dump

- name: Bring a dump from a server
  dump_incoming:
    source: https://backups.example.com/jobs_prod.dump
    checksum: sha256:5c1d2be7c9a55c4b8fd3b1cf5d7a0b9a6ab2b6b1e35e6b0a2e6d2f4f8f1f9f1c
    folder: /var/tmp/dev_refresh
    label: jobs_dev
"""

RETURN = r"""
dump_path:
  description: Where the dump is on the host.
  type: str
  returned: success
  sample: /var/tmp/dev_refresh/jobs_prod.dump
present:
  description: Whether it is there. In check mode it is not if it would have to be brought.
  type: bool
  returned: success
sha256:
  description: Its checksum.
  type: str
  returned: success
source_path:
  description: Where it is from; of a pattern the dump that was chosen.
  type: str
  returned: success
removed:
  description: Earlier dumps that were removed.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.dump.fetch import INCOMING_OPTIONS, fetch
from ansible.module_utils.dev_refresh.reporting import run_module


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=INCOMING_OPTIONS, supports_check_mode=True)

    def work() -> dict[str, Any]:
        return fetch(module.params, folder=Path(module.params["folder"]), check_mode=module.check_mode)

    run_module(module, work)


if __name__ == "__main__":
    main()

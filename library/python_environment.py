#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: a virtual environment with pinned packages, for the modules that run on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_environment
short_description: Make a virtual environment with pinned packages
version_added: "0.1.0"
description:
  - Makes a virtual environment with the Python that runs this module, and installs the packages in it, if that has not been done.
  - The environment's name contains a hash of the packages and of the Python version. New packages make a new environment; of the old ones the
    newest is kept, for a run that may be using it.
  - An installation that was interrupted, or whose packages cannot be imported any more, is made anew.
options:
  folder:
    description:
      - Folder of the environments. It is made if it is not there.
      - Refused if another user but root owns it or could write to it, since what is in it is executed.
    type: path
    required: true
  requirements:
    description: The packages with their versions, as in a requirements file.
    type: str
    required: true
  imports:
    description: Python modules that must be importable; the environment is made anew if one is not.
    type: list
    elements: str
    default: []
  pip_options:
    description: More options for C(pip install), such as V(--index-url) and its address.
    type: list
    elements: str
    default: []
  deadline:
    description: Seconds after which the installation is given up.
    type: int
    default: 900
attributes:
  check_mode:
    description: Says whether it would install; writes nothing.
    support: full
  diff_mode:
    description: Lists the packages.
    support: full
requirements:
  - Python 3.11 or later with its C(venv) module
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Install what the modules need
  python_environment:
    folder: /opt/dev-refresh
    requirements: "{{ lookup('ansible.builtin.file', 'requirements-host.txt') }}"
    imports: [psycopg2, xero_python]
  register: environment_made

- name: Use it from here on
  ansible.builtin.set_fact:
    ansible_python_interpreter: "{{ environment_made.interpreter }}"
"""

RETURN = r"""
interpreter:
  description: The environment's Python.
  type: str
  returned: always
  sample: /opt/dev-refresh/venv-5c1d2be7c9a5/bin/python
packages:
  description: What is (in check mode would be) installed.
  type: list
  elements: str
  returned: always
  sample: ["psycopg2-binary==2.9.13"]
digest:
  description: Hash of the packages and of the Python version.
  type: str
  returned: always
removed:
  description: Environments of earlier packages that were removed.
  type: list
  elements: str
  returned: always
seconds:
  description: How long the installation took.
  type: float
  returned: when something was installed
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.environment.install import Wanted, ensure_environment
from ansible.module_utils.dev_refresh.reporting import run_module


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "requirements": {"type": "str", "required": True},
            "imports": {"type": "list", "elements": "str", "default": []},
            "pip_options": {"type": "list", "elements": "str", "default": []},
            "deadline": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, Any]:
        options = {name: module.params[name] for name in ("requirements", "imports", "pip_options", "deadline")}
        return ensure_environment(Wanted(folder=Path(module.params["folder"]), **options), check_mode=module.check_mode)

    run_module(module, work)


if __name__ == "__main__":
    main()

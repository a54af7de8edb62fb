"""Make the product's code importable just as Ansible imports it."""
from __future__ import annotations

import sys
from pathlib import Path

import ansible.module_utils

ROOT = Path(__file__).resolve().parent.parent
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
for folder in ("library", "demo"):
    sys.path.insert(0, str(ROOT / folder))

"""The environment on a host: which packages, when it counts as made, and whom it may belong to."""
from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.environment.install import STAMP, Wanted, ensure_environment
from ansible.module_utils.dev_refresh.errors import RefreshError

ROOT = Path(__file__).resolve().parents[3]


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))


def test_the_hosts_packages_are_the_controllers_less_ansible():
    """Catches a pin that was raised in one file alone."""
    assert pins("requirements-host.txt") < pins("requirements.txt")
    assert not any(pin.startswith("ansible") for pin in pins("requirements-host.txt"))


@pytest.fixture
def wanted(tmp_path) -> Wanted:
    """Return an environment without packages, which is made in a second or two."""
    return Wanted(folder=tmp_path / "environments", requirements="# none\n", imports=["json"])


@pytest.fixture
def fast(monkeypatch):
    """Make the environment by hand: what pip does is not looked at here."""

    def install(wanted):
        wanted.interpreter.parent.mkdir(parents=True)
        wanted.interpreter.symlink_to(wanted.python)
        (wanted.path / STAMP).write_text(wanted.digest)

    monkeypatch.setattr("ansible.module_utils.dev_refresh.environment.install._install", install)


def test_it_is_made_once(wanted, fast):
    first = ensure_environment(wanted, check_mode=False)
    assert first["changed"]
    assert Path(first["interpreter"]).exists()
    assert not ensure_environment(wanted, check_mode=False)["changed"]


def test_a_dry_run_writes_nothing(wanted):
    assert ensure_environment(wanted, check_mode=True)["changed"]
    assert not wanted.folder.exists()


def test_without_its_stamp_it_is_not_whole(wanted, fast):
    ensure_environment(wanted, check_mode=False)
    (wanted.path / STAMP).unlink()
    assert ensure_environment(wanted, check_mode=True)["changed"]


def test_other_packages_make_another_one_and_the_last_stays(wanted, fast):
    made = [Wanted(folder=wanted.folder, requirements=f"package=={number}\n") for number in range(4)]
    for number, each in enumerate(made):
        ensure_environment(each, check_mode=False)
        os.utime(each.path, (number, number))
    assert [each.path.exists() for each in made] == [False, False, True, True]


def test_comments_and_order_do_not_matter(tmp_path):
    first = Wanted(folder=tmp_path, requirements="a==1\nb==2  # via a\n")
    assert first.digest == Wanted(folder=tmp_path, requirements="# pinned\nb==2\na==1\n").digest


def test_a_folder_that_others_may_write_to_is_refused(wanted):
    """Catches code of somebody else's that would run as the login user."""
    wanted.folder.mkdir()
    wanted.folder.chmod(0o777)
    with pytest.raises(RefreshError, match="others may write"):
        ensure_environment(wanted, check_mode=False)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RefreshError, match="host_environment_dir"):
        ensure_environment(Wanted(folder=tmp_path / "file" / "inside", requirements=""), check_mode=False)


@pytest.mark.full
def test_a_real_one_and_a_package_that_is_not_to_be_had(tmp_path):
    good = Wanted(folder=tmp_path / "here", requirements="")
    assert ensure_environment(good, check_mode=False)["changed"]
    bad = Wanted(folder=tmp_path / "here", requirements="no-such-package-at-all==1.0\n", pip_options=["--no-index"])
    with pytest.raises(RefreshError, match="could not be installed"):
        ensure_environment(bad, check_mode=False)
    assert not (bad.path / STAMP).exists()

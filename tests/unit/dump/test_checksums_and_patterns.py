"""Expected checksums in every form, manifests of directories, and the choice of a dump by a pattern."""
from __future__ import annotations

import hashlib
import os

import pytest
from ansible.module_utils.dev_refresh.dump.checksums import HashThread, expected_checksum
from ansible.module_utils.dev_refresh.dump.resolve import resolve_dump
from ansible.module_utils.dev_refresh.errors import Finding
from archive_writer import archive_bytes

HASH = hashlib.sha256(b"content").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "prod.dump"
    path.write_bytes(b"content")
    return path


def ask(path, option=None, *, is_glob=False, require=False):
    return expected_checksum(str(path), option, is_glob=is_glob, require=require)


@pytest.mark.parametrize(
    "text",
    [
        f"{HASH}  prod.dump\n",
        f"{HASH} *prod.dump\n",
        f"{HASH}\n",
        HASH.upper(),
        f"\ufeff{HASH}  /srv/dumps/prod.dump\r\n",
        f"SHA256 (prod.dump) = {HASH}\n",
        f"{OTHER}  other.dump\n{HASH}  prod.dump\n",
    ],
)
def test_a_file_beside_the_dump_is_used_in_every_usual_form(dump, text):
    (dump.parent / "prod.dump.sha256").write_text(text)
    assert ask(dump) == type(ask(dump))(HASH, f"{dump}.sha256")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("not a checksum\n", "is not a file of SHA-256 checksums"),
        (HASH[:-1], "is not a file of SHA-256 checksums"),
        (f"{HASH}  other.dump\n", "is not about prod.dump but about other.dump"),
        (f"{HASH}  prod.dump\n{OTHER}  prod.dump\n", "more than one checksum"),
    ],
)
def test_a_file_beside_the_dump_that_cannot_be_used_is_a_finding(dump, text, what):
    (dump.parent / "prod.dump.sha256").write_text(text)
    finding = ask(dump).finding
    assert finding is not None
    assert what in finding.what


def test_the_option_wins_and_must_be_well_formed(dump):
    (dump.parent / "prod.dump.sha256").write_text(OTHER)
    assert ask(dump, f"sha256:{HASH.upper()}").sha256 == HASH
    for wrong in (HASH, f"md5:{HASH}", "sha256:abc", "sha256:"):
        finding = ask(dump, wrong).finding
        assert finding is not None
        assert "is not of the form sha256:" in finding.what


def test_a_checksum_with_a_pattern_is_refused(dump):
    finding = ask(dump, f"sha256:{HASH}", is_glob=True).finding
    assert finding is not None
    assert "pattern" in finding.what


def test_without_a_checksum(dump):
    assert ask(dump).finding is None
    finding = ask(dump, require=True).finding
    assert finding is not None
    assert "sha256sum prod.dump > prod.dump.sha256" in finding.remedy


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "prod.dir"
    path.mkdir()
    for name in ("toc.dat", "1.dat.gz", "2.dat.gz"):
        (path / name).write_text(name)
    return path


def manifest_of(folder, prefix=""):
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {prefix}{path.name}\n" for path in sorted(folder.iterdir()))


def hashed(path):
    thread = HashThread(str(path), seconds=30)
    thread.start()
    thread.join()
    return thread


@pytest.mark.parametrize("prefix", ["", "./", "prod.dir/", "/backup/prod.dir/"])
@pytest.mark.parametrize("place", ["prod.dir.sha256", "prod.dir/SHA256SUMS"])
def test_a_directory_that_is_as_its_manifest_says(folder, prefix, place):
    text = manifest_of(folder, prefix)
    (folder.parent / place).write_text(text)
    done = hashed(folder)
    assert (done.findings, done.size) == ([], len("toc.dat1.dat.gz2.dat.gz"))
    assert done.sha256 == hashlib.sha256(manifest_of(folder).replace(f"{hashlib.sha256(text.encode()).hexdigest()}  SHA256SUMS\n", "").encode()).hexdigest()


def empty(folder):
    (folder / "1.dat.gz").write_text("")


def remove(folder):
    (folder / "1.dat.gz").unlink()


def add(folder):
    (folder / "3.dat.gz").write_text("x")


@pytest.mark.parametrize(("damage", "what"), [(empty, "1.dat.gz does not have the checksum"), (remove, "lacks the file 1.dat.gz"), (add, "contains 3.dat.gz")])
def test_a_directory_that_is_not_as_its_manifest_says(folder, damage, what):
    (folder.parent / "prod.dir.sha256").write_text(manifest_of(folder))
    damage(folder)
    findings = hashed(folder).findings
    assert len(findings) == 1
    assert what in findings[0].what


def test_hashing_ends_at_its_deadline(dump):
    thread = HashThread(str(dump), seconds=-1)
    thread.run()
    assert "could not be computed in time" in thread.findings[0].what


def write(path, *, day=21, modified=1_000_000, content=None):
    data = archive_bytes() if content is None else content
    # the day of the month in the header
    path.write_bytes(data.replace(bytes([0, 21, 0, 0, 0]), bytes([0, day, 0, 0, 0]), 1))
    os.utime(path, (modified, modified))


def test_a_plain_path_is_taken_as_it_is(tmp_path):
    odd = tmp_path / "prod[1].dump"
    write(odd)
    assert resolve_dump(str(odd)) == str(odd)
    assert resolve_dump(str(tmp_path / "missing.dump")) == str(tmp_path / "missing.dump")


def test_the_newest_by_its_own_time_wins_not_by_the_files(tmp_path):
    write(tmp_path / "prod-a.dump", day=20, modified=3_000_000)
    write(tmp_path / "prod-b.dump", day=22)
    write(tmp_path / "prod-c.dump", day=21, modified=2_000_000)
    for name in ("prod-z.dump.sha256", "prod-z.dump.tmp", "prod-z.dump.part", ".prod-z.dump"):
        write(tmp_path / name, day=28, modified=9_000_000)
    assert resolve_dump(str(tmp_path / "*prod-*")) == str(tmp_path / "prod-b.dump")


def test_an_older_dump_is_not_taken_in_silence_when_the_last_one_failed(tmp_path):
    write(tmp_path / "prod-a.dump")
    write(tmp_path / "prod-b.dump", content=b"", modified=2_000_000)
    found = resolve_dump(str(tmp_path / "prod-*"))
    assert isinstance(found, Finding)
    assert "prod-b.dump is empty" in found.what
    assert "newer than" in found.what


def test_other_files_that_match_do_not_matter(tmp_path):
    write(tmp_path / "prod-a.dump")
    write(tmp_path / "prod.log", content=b"text", modified=2_000_000)
    write(tmp_path / "prod-0.dump", content=b"", modified=500)
    assert resolve_dump(str(tmp_path / "prod*")) == str(tmp_path / "prod-a.dump")


def test_nothing_matches(tmp_path):
    found = resolve_dump(str(tmp_path / "*.dump"))
    assert isinstance(found, Finding)
    write(tmp_path / "x.dump", content=b"<html>")
    found = resolve_dump(str(tmp_path / "*.dump"))
    assert isinstance(found, Finding)
    assert "HTML" in found.what

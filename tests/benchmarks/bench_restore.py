"""Restore a generated database by pg_refresh, all its checks included, and by plain ``pg_restore``."""
from __future__ import annotations

import os
import secrets
from pathlib import Path

from measuring import MEGABYTE, OWNER, Cluster, Row, Stopwatch, Timed, arguments, best, cluster, in_turn, listed, report, run_module, say

WORDS = """\
A generated jobs database, with the indexes that Django makes, is dumped (pg_dump -Fc, gzip) and restored in turn by `pg_refresh state=staged`
and by plain `pg_restore`: same dump, client, owner, number of jobs, each into a fresh database from template0. The time of pg_refresh is that of
the whole module process: hashing and reading the dump, making the database, restoring, counting all rows, ANALYZE, moving Xero ids, marker.
That of pg_restore is pg_restore alone. The best of several runs counts. Peak memory is that of the module's process."""

TABLES = """
CREATE TABLE client_client (id uuid PRIMARY KEY, name text NOT NULL, email text, phone text, address text, xero_contact_id uuid UNIQUE, created timestamptz);
CREATE TABLE job_job (id uuid PRIMARY KEY, client_id uuid REFERENCES client_client, job_number int UNIQUE, name text, delivery_date date,
 status text, notes text, details jsonb, xero_project_id uuid UNIQUE, created timestamptz);
CREATE TABLE job_line (id uuid PRIMARY KEY, job_id uuid REFERENCES job_job, kind text, description text,
 quantity numeric(10, 3), rate numeric(10, 2), meta jsonb, created timestamptz);
CREATE TABLE job_event (id uuid PRIMARY KEY, job_id uuid REFERENCES job_job, staff int, kind text, delta jsonb, at timestamptz);
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text, applied timestamptz DEFAULT now());
"""
# one unit is about 7 MB of database; the indexes are those that Django makes: keys, foreign keys, and one of the app's own
ROWS = """
INSERT INTO client_client SELECT md5('client' || n)::uuid, 'Workshop ' || n || ' Ltd', 'office' || n || '@example.com', '09 555 ' || n, n || ' Church Street',
 md5('xc' || n)::uuid, '2023-01-01'::timestamptz + n * interval '1 hour' FROM generate_series(1, {units} * 40) n;
INSERT INTO job_job SELECT md5('job' || n)::uuid, md5('client' || 1 + n % ({units} * 40))::uuid, 90000 + n, 'Bench and gate ' || n, '2026-05-01',
 (ARRAY['quoting', 'approved', 'completed'])[1 + n % 3], repeat('note ' || md5('n' || n) || ' ', 3),
 jsonb_build_object('material', md5('m' || n % 50), 'thickness', n % 12, 'priority', n % 5), md5('xp' || n)::uuid,
 '2023-01-01'::timestamptz + n * interval '7 minutes' FROM generate_series(1, {units} * 400) n;
INSERT INTO job_line SELECT md5('line' || n)::uuid, md5('job' || 1 + n % ({units} * 400))::uuid,
 (ARRAY['time', 'material', 'adjust'])[1 + n % 3], 'Cut, fold and weld ' || md5('d' || n % 9973) || ' to drawing ' || n, (n % 97) / 8.0, 40 + n % 300,
 jsonb_build_object('staff', n % 40, 'code', substr(md5('l' || n), 1, 8), 'billable', n % 4 <> 0),
 '2023-01-01'::timestamptz + n * interval '20 seconds' FROM generate_series(1, {units} * 14000) n;
INSERT INTO job_event SELECT md5('event' || n)::uuid, md5('job' || 1 + n % ({units} * 400))::uuid, n % 40, 'status_changed',
 jsonb_build_object('before', md5('b' || n % 1009), 'after', md5('a' || n)), '2023-01-01'::timestamptz + n * interval '30 seconds'
 FROM generate_series(1, {units} * 9000) n;
CREATE INDEX ON job_job (client_id);
CREATE INDEX ON job_line (job_id);
CREATE INDEX ON job_event (job_id);
CREATE INDEX ON job_event (staff);
CREATE INDEX ON job_event (job_id, at);
INSERT INTO django_migrations (app, name) VALUES ('client', '0001_initial'), ('job', '0001_initial');
"""
NAME = "bench_dev"
PLAIN = "bench_plain"


def make_dump(where: Cluster, units: int) -> tuple[Path, int]:
    """Generate a database of some ``units`` times 10 MB; return its dump and its size."""
    source = f"bench_source_{secrets.token_hex(3)}"
    where.create_database(source)
    session = where.connect(source, owner=True)
    with session.cursor() as cursor:
        cursor.execute(TABLES)
        for statement in ROWS.format(units=units).split(";\n"):
            if statement.strip():
                cursor.execute(statement)
        cursor.execute("SELECT pg_database_size(current_database())")
        size = int(cursor.fetchone()[0])
    session.close()
    path = where.folder / f"{source}.dump"
    where.program("pg_dump", "-Fc", "-f", str(path), source, owner=False)
    where.drop_database(source)
    return path, size


def plain(where: Cluster, dump: Path, jobs: int) -> Timed:
    """Restore by plain pg_restore."""
    where.create_database(PLAIN)
    where.execute("CHECKPOINT")
    with Stopwatch(where) as watch:
        where.program("pg_restore", f"--dbname={PLAIN}", "--no-owner", "--no-privileges", "--exit-on-error", f"--jobs={jobs}", str(dump))
    where.drop_database(PLAIN)
    return watch.timed()


def refreshed(where: Cluster, dump: Path, jobs: int) -> Timed:
    """Restore by pg_refresh."""
    where.execute("CHECKPOINT")
    with Stopwatch(where) as watch:
        run = run_module("pg_refresh", where.refresh_params(NAME, dump, state="staged", jobs=jobs))
    assert run.result["action"] == "restore" and run.result["phase"] == "sanitised", run.result
    where.drop_refresh(NAME)
    return watch.timed(run, run.seconds)


def read_only(where: Cluster, dump: Path) -> Timed:
    """Read the dump by pg_restore alone."""
    with Stopwatch(where) as watch:
        where.program("pg_restore", "-f", "/dev/null", str(dump))
    return watch.timed()


def inspected(where: Cluster, dump: Path) -> Timed:
    """Read, hash and check the dump by pg_dump_info; the time is that of the pass, without Python's start."""
    with Stopwatch(where) as watch:
        run = run_module("pg_dump_info", {"path": str(dump), "bin_dir": str(where.server.bin_dir)})
    return watch.timed(run, run.result["seconds"])


def main() -> None:
    """Measure and print."""
    quick = arguments(__doc__ or "").quick
    jobs = os.cpu_count() or 1
    rows: list[Row] = []
    notes: list[str] = []
    peaks: list[float] = []
    with cluster() as where:
        for units in (20,) if quick else (20, 150):
            say(f"generating a database, {units} units")
            dump, size = make_dump(where, units)
            label = f"{size / MEGABYTE:.0f} MB"
            # for less, the second that everything takes anyway counts most
            goal = 1.10 if size > 900 * MEGABYTE else None
            found = in_turn(
                {
                    "pg_restore": lambda dump=dump: plain(where, dump, jobs),
                    "pg_refresh": lambda dump=dump: refreshed(where, dump, jobs),
                    "pg_restore -f /dev/null": lambda dump=dump: read_only(where, dump),
                    "pg_dump_info": lambda dump=dump: inspected(where, dump),
                },
                rounds=2,
                most=3 if quick else 5,
            )
            base, ours, only, read = (best(found[name]) for name in found)
            peaks.append(max(timed.result.peak_mb for timed in found["pg_refresh"]))
            against_read = f"{only.seconds:.2f} s"
            rows += [
                Row(f"pg_refresh against pg_restore -j{jobs}, {label}", f"{ours.seconds:.2f} s", f"{base.seconds:.2f} s", ours.seconds / base.seconds, goal),
                Row("  the same in processor time", f"{ours.cpu:.2f} s", f"{base.cpu:.2f} s", ours.cpu / base.cpu),
                Row("  reading and checking the dump against pg_restore -f /dev/null", f"{read.seconds:.2f} s", against_read, read.seconds / only.seconds),
                Row("  peak memory of pg_refresh", f"{peaks[-1]:.1f} MB", "", peaks[-1], 150, " MB"),
            ]
            stage = ours.result.result["seconds"]["stage"]
            notes.append(f"{label}, dump {dump.stat().st_size / MEGABYTE:.0f} MB; of pg_refresh {stage:.2f} s are database, restore, counts and ANALYZE")
            notes += [f"  {name}: {listed(timed)} s" for name, timed in found.items()]
            dump.unlink()
        if len(peaks) > 1:
            rows.append(Row("memory is flat: the bigger against the smaller dump", f"{peaks[-1]:.1f} MB", f"{peaks[0]:.1f} MB", peaks[-1] / peaks[0], 1.1))
    report("Restore", WORDS, rows, [*notes, f"The owner of all is {OWNER}, {jobs} jobs; in brackets what other programs took of the machine."])


if __name__ == "__main__":
    main()

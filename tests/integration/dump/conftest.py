"""A database with awkward contents, and real dumps of it."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg2 import sql

SCHEMA = r"""
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text);
INSERT INTO django_migrations (app, name) VALUES ('client', '0001_initial'), ('job', '0001_initial'), ('job', E'0002_a\\b\ttab');
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE client_client (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(255) NOT NULL DEFAULT 'a, b', "E Mail" text, m mood,
    lower text GENERATED ALWAYS AS (lower(name)) STORED
);
INSERT INTO client_client (name, "E Mail") SELECT 'c' || i || E'\n\\.\nCOPY public.empty_one (a) FROM stdin;\n', E'\\.' FROM generate_series(1, 1000) i;
CREATE TABLE empty_one (a int);
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE SCHEMA "Odd schema";
CREATE TABLE "Odd schema"."t ""q"" x" ("c
1" int, b bytea);
INSERT INTO "Odd schema"."t ""q"" x" SELECT i, decode('5c2e0a0a5c2e', 'hex') FROM generate_series(1, 50) i;
CREATE TABLE part (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
INSERT INTO part SELECT i, i % 20 FROM generate_series(1, 100) i;
CREATE TABLE base (a int);
CREATE TABLE child () INHERITS (base);
INSERT INTO base VALUES (1);
INSERT INTO child VALUES (2), (3);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM part;
CREATE FUNCTION looks_like_copy() RETURNS text LANGUAGE sql AS $$
SELECT '
COPY public.client_client (id) FROM stdin;
1
\.
'::text $$;
SELECT lo_from_bytea(0, 'hello'::bytea) FROM generate_series(1, 3);
CREATE PUBLICATION to_warehouse FOR TABLE client_client;
"""


@pytest.fixture(scope="session")
def dump_with(cluster, tmp_path_factory) -> Iterator[Callable[..., str]]:
    """Return a function that dumps the database with pg_dump's options, each variant once, and returns the path; not to be changed."""
    name = "jobs_prod"
    session = cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    contents = cluster.connect(name)
    with contents.cursor() as cursor:
        cursor.execute(SCHEMA)
    contents.close()
    folder = tmp_path_factory.mktemp("dumps")
    environment = {**os.environ, "PGPASSWORD": cluster.server.password}

    def dump(*options: str) -> str:
        path: Path = folder / ("_".join(option.strip("-") for option in options) + ".dump")
        if not path.exists():
            connection = ["-h", "127.0.0.1", "-p", str(cluster.server.port), "-U", cluster.server.superuser]
            subprocess.run([str(cluster.server.bin_dir / "pg_dump"), *connection, *options, "-f", str(path), name], env=environment, check=True, timeout=60)
        return str(path)

    session.close()
    yield dump
    # a new session: a test may have crashed the server meanwhile
    session = cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    session.close()

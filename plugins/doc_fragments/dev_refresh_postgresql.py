"""Documentation of the connection options that all modules with a database share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of module_utils/dev_refresh/postgres/options.py."""

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Host name or address of the PostgreSQL server.
      - Empty means the Unix socket in O(login_unix_socket), or in libpq's default place.
    type: str
    default: ""
  login_port:
    description: Port of the PostgreSQL server.
    type: int
    default: 5432
  login_user:
    description: Role to log in as.
    type: str
    default: postgres
  login_password:
    description: Password of O(login_user). Left out, the server must let the role in without one, for example by peer authentication.
    type: str
  login_unix_socket:
    description: Folder of the Unix socket, used where O(login_host) is empty. Left out, libpq's default.
    type: str
    default: ""
  ssl_mode:
    description: How TLS is negotiated; libpq's C(sslmode).
    type: str
    default: prefer
    choices: [allow, disable, prefer, require, verify-ca, verify-full]
  ca_cert:
    description: File of the certificate authorities that the server's certificate is checked against; libpq's C(sslrootcert).
    type: path
  maintenance_db:
    description: Database to connect to for work on other databases. The lock that keeps two runs apart is held there, so it must be the same in all of them.
    type: str
    default: postgres
requirements:
  - Python 3.11 or later
  - psycopg2
"""

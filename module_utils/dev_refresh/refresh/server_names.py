"""By which names a server may be known."""
from __future__ import annotations

import socket


def is_local(host: str) -> bool:
    """Tell whether the server is on this host, as far as the name says."""
    return host in ("", "localhost", "127.0.0.1", "::1") or host.startswith("/")


def server_names(host: str) -> set[str]:
    """Return the names and addresses by which the server may be listed as forbidden."""
    names = {host or "localhost"}
    if is_local(host):
        names |= {socket.gethostname(), socket.getfqdn(), "localhost", "127.0.0.1"}
    elif host:
        try:
            names |= {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
            names.add(socket.getfqdn(host))
        except OSError:
            # connecting says so in better words
            return names
    return names

"""An SSH server for the tests: loopback only, its own keys, commands run by /bin/sh with an environment of their own.

Usage: ``python ssh_server.py <folder>``. The folder holds ``host_key``, ``user_key.pub`` and ``environment.json``; ``port`` is written there when
the server listens. A closed channel closes the command's pipes and nothing more, which is how OpenSSH's server behaves.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import asyncssh

CHUNK = 65536


async def run(process: asyncssh.SSHServerProcess[bytes], folder: Path) -> None:
    """Run the command of one channel and hand its return code back."""
    environment: dict[str, str] = json.loads((folder / "environment.json").read_text())
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command or "exit 0",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=environment["HOME"],
        start_new_session=True,
    )
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    feeding = asyncio.create_task(feed(process, child.stdin))
    watching = asyncio.create_task(hang_up(process, child))
    await asyncio.gather(drain(child.stdout, process.stdout), drain(child.stderr, process.stderr))
    returned = await child.wait()
    feeding.cancel()
    watching.cancel()
    process.exit(returned)


async def hang_up(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    """Close the command's pipes once the channel is closed, also while it writes nothing."""
    await process.wait_closed()
    for stream in (child.stdout, child.stderr):
        stream._transport.close()  # type: ignore[union-attr]


async def feed(process: asyncssh.SSHServerProcess[bytes], stdin: asyncio.StreamWriter) -> None:
    """Hand the channel's input to the command, and its end."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await process.stdin.read(CHUNK):
            stdin.write(data)
            await stdin.drain()
    with contextlib.suppress(OSError):
        stdin.close()


async def drain(stream: asyncio.StreamReader, channel: asyncssh.SSHWriter[bytes]) -> None:
    """Hand the command's output to the channel; if that is gone, close the pipe, so that the command notices."""
    try:
        while data := await stream.read(CHUNK):
            channel.write(data)
            await channel.drain()
    except (OSError, asyncssh.Error):
        stream._transport.close()  # type: ignore[attr-defined]


async def serve(folder: Path) -> None:
    """Serve until killed."""

    async def factory(process: asyncssh.SSHServerProcess[Any]) -> None:
        await run(process, folder)

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(folder / "host_key")],
        authorized_client_keys=str(folder / "user_key.pub"),
        process_factory=factory,
        sftp_factory=True,
        encoding=None,
    )
    unfinished = folder / "port.part"
    unfinished.write_text(str(server.sockets[0].getsockname()[1]))
    unfinished.rename(folder / "port")
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

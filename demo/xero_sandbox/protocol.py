"""HTTP/1.1 of uvicorn, with a way for the application to close the connection without a reply."""
from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class DroppableProtocol(H11Protocol):
    """Put the transport where the application finds it: scope["state"]["transport"]."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the transport of this connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}

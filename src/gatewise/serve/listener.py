"""`Listener`: the listening socket of the server, which one or several processes accept from."""

import errno
import os
import select
import socket
from pathlib import Path

from gatewise.errors import InputError, printable
from gatewise.serve.settings import Settings
from gatewise.system.processes import ignore_new_clients, one_listener

_BACKLOG = 2048  # clients that may wait until a process accepts them


class Listener:
    """Listens at the port or at the Unix domain socket of the settings. port: the number that clients connect to, 0 for
    a Unix domain socket. Raises InputError with the system's reason.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.uds
        self._inode = 0
        self.port = 0
        if settings.uds is not None:
            self.sock = socket.socket(socket.AF_UNIX)
        elif ":" in settings.host:
            self.sock = socket.socket(socket.AF_INET6)
        else:
            self.sock = socket.socket(socket.AF_INET)
        try:
            if settings.uds is not None:
                _remove_stale(settings.uds)
                self.sock.bind(settings.uds)
                self._inode = os.stat(settings.uds).st_ino
            else:
                one_listener(self.sock)
                self.sock.bind((settings.host, settings.port))
                self.port = self.sock.getsockname()[1]
            self.sock.listen(_BACKLOG)
        except OSError as error:
            self.sock.close()
            where = settings.uds or f"{settings.host} port {settings.port}"
            raise InputError(f"cannot listen at {printable(where)}: {error.strerror or error}") from None
        self.sock.setblocking(False)

    def refuse_new_clients(self) -> None:
        """Let no client connect from now on. Clients that have connected can still be accepted.

        The socket cannot simply be closed: the system would reset the connections of all clients that wait to be
        accepted. On Linux later clients get no answer until the socket is closed, which refuses them. On other systems
        they still connect until then.
        """
        if self._path is None:
            ignore_new_clients(self.sock)
        else:
            self._remove_path()

    def has_waiting_client(self) -> bool:
        """Whether a client has connected and waits to be accepted."""
        readable, _, _ = select.select([self.sock], [], [], 0)
        return bool(readable)

    def close(self) -> None:
        """Close the socket of this process, and remove the path of a Unix domain socket."""
        self._remove_path()
        self.sock.close()

    def _remove_path(self) -> None:
        """Remove the path once; another server may listen there afterwards."""
        if self._path is None:
            return
        try:
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        except FileNotFoundError:
            return


def _remove_stale(path: str) -> None:
    """Remove the socket of a server that was killed. The socket of a server that answers stays, and so does a file
    that is no socket.
    """
    if Path(path).is_socket():
        with socket.socket(socket.AF_UNIX) as other:
            if other.connect_ex(path) == errno.ECONNREFUSED:
                Path(path).unlink()

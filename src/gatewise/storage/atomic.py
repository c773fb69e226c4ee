"""Atomic writes of files and folders, and an exclusive lock on a run folder.

A file is fsynced before its name appears, and the parent folder after. A folder is replaced so that a reader sees the
old one or the new one, complete, at any moment: on Linux the two are exchanged in one step (renameat2 with
RENAME_EXCHANGE). Without that system call the old folder is renamed first and the new one second. For the microseconds
between, the name does not exist, and a crash then leaves the old folder under a name `.gatewise-*.old`.

What is not complete has a scratch name, `.gatewise-*.tmp`, and is locked by its process. A process that is killed
leaves it without a lock, and the next save into the same folder removes it. `gatewise.system` says what Windows does.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from gatewise.errors import ModelFileError, TrainingError, quote, reason, warn
from gatewise.system.files import (
    exchange,
    is_at,
    lock,
    open_file,
    rename_folder,
    rename_to_new,
    renames_open_files,
    sync_folder,
)

LOCK = ".lock"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # of a file that must not exist
_SCRATCH = re.compile(r"\.gatewise-[0-9a-f]{16}\.tmp")


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to the file `path`, completely or not at all.

    A symbolic link stays: the file that it names is written, as an editor does. A file that is replaced hands on its
    permissions; a new one has those that the umask leaves. Raises ModelFileError naming the path and the reason (disk
    full, read-only, no such folder, a device or a pipe). The file is then as it was.
    """
    try:
        target = Path(os.path.realpath(path))
        mode = _mode_of(target)
        with scratch(target.parent) as new:
            if mode is not None:
                os.chmod(new, mode | stat.S_IWUSR)  # nobody else may read the data meanwhile
            _write(open_file(new, os.O_WRONLY), data)
            if mode is not None:
                os.chmod(new, mode)
            os.replace(new, target)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot write {quote(path, 200)}: {reason(error)}; nothing was changed") from error
    try:
        sync_folder(target.parent)
    except OSError as error:
        raise ModelFileError(
            f"{quote(path, 200)} is written, but the disk did not confirm it: {reason(error)}"
        ) from error


def _mode_of(path: Path) -> int | None:
    """The permissions of the file that is replaced at `path`, None if there is none. Raises OSError for anything but a
    regular file.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return stat.S_IMODE(mode) & 0o777
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISLNK(mode):  # the path is resolved, so these are links to each other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    raise OSError(errno.EINVAL, "not a regular file")


@contextmanager
def locked(folder: str | os.PathLike[str], remove: bool = False) -> Iterator[None]:
    """Lock the run folder `folder` for this process until the block ends. A missing folder is created.

    remove: remove the folder at the end of the block. If the block fails, the folder is removed only if it is empty. It
    gets a scratch name before the lock is released, so that the folder of the next run is another one.

    The lock belongs to the open file `.lock`, so the operating system releases it when the process dies; the file
    stays. Where the file system has no locks, a warning says so, and the block runs without one. Raises TrainingError
    if another process or another block has the lock, or if the folder cannot be created.
    """
    path = Path(folder)
    try:
        handle = _open_lock(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot use the run folder {quote(path, 200)}: {reason(error)}") from error
    is_removed = False
    try:
        try:
            lock(handle)
            while not is_at(handle, path / LOCK):  # a run that ended has removed the file since it was opened
                stale = handle
                handle = _open_lock(path)
                os.close(stale)
                lock(handle)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            raise TrainingError(f"run folder {quote(path, 200)} is in use by process {quote(holder)}") from None
        except OSError as error:
            message = f"{quote(path, 200)} cannot be locked ({reason(error)}): start no second run there meanwhile"
            warn(message, RuntimeWarning)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        try:
            yield
        except BaseException:
            with suppress(OSError):
                is_removed = remove and os.listdir(path) == [LOCK]
            raise
        else:
            is_removed = remove
        finally:
            if is_removed and renames_open_files():
                path = path.rename(path.with_name(f".gatewise-{secrets.token_hex(8)}.tmp"))
    finally:
        os.close(handle)  # releases the lock
        if is_removed:
            _remove(path)  # another process may sweep it first, since it is no longer locked


def _open_lock(folder: Path) -> int:
    """The open lock file of a run folder. Both are created if they are missing, again if a run that ends removes them
    in between.
    """
    for _ in range(100):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return open_file(folder / LOCK, os.O_RDWR | os.O_CREAT)
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


@contextmanager
def scratch(parent: Path, folder: bool = False) -> Iterator[Path]:
    """A new, empty file or folder under a scratch name in `parent`, for a block that renames or removes it. Removed if
    the block fails, also on Ctrl-C. What dead processes left in `parent` is removed first.
    """
    sweep(parent)
    with ExitStack() as stack:
        is_locked = False
        while not is_locked:
            path = parent / f".gatewise-{secrets.token_hex(8)}.tmp"
            if folder:
                path.mkdir()
            else:
                os.close(open_file(path, _NEW))
            with suppress(FileNotFoundError, BlockingIOError):  # another process has swept it since its creation
                stack.enter_context(_locked_scratch(path))
                is_locked = True
        try:
            yield path
        except BaseException:
            _remove(path)
            raise


@contextmanager
def claimed(path: str | os.PathLike[str], shared: bool = False) -> Iterator[None]:
    """Claim the output `path` for this process until the block ends. Raises BlockingIOError where another process has
    claimed it. shared: other processes with `shared` may claim it too.

    The claim is a locked scratch file in the same folder, so that a process that is killed gives it up. Without locks,
    and where open files cannot be renamed, nothing is claimed.
    """
    if not renames_open_files():
        yield
        return
    target = Path(os.path.abspath(path))
    file = target.parent / f".gatewise-{sha256(os.fsencode(target.name)).hexdigest()[:16]}.tmp"
    with ExitStack() as stack:
        stack.callback(sweep, target.parent)  # runs last, also after an error
        for tries_left in reversed(range(20)):
            try:
                os.close(open_file(file, os.O_RDONLY | os.O_CREAT))
                stack.enter_context(_locked_scratch(file, True, shared))
                break
            except BlockingIOError:  # another claim, or another process that sweeps the file at this moment
                if not tries_left:
                    raise
                time.sleep(0.01)
            except FileNotFoundError:  # the file was swept since its creation, or there is no such folder
                continue
            except OSError:  # no locks, or an error that the save itself will report
                _remove(file)
                break
        yield


@contextmanager
def _locked_scratch(path: Path, strict: bool = False, shared: bool = False) -> Iterator[None]:
    """Lock a scratch file or folder within the block; on a system that cannot rename open files, do nothing. Raises
    BlockingIOError where another process has the lock, FileNotFoundError where the file was removed. strict: raise
    OSError on a file system without locks. shared: as in `claimed`.
    """
    if not renames_open_files():
        yield
        return
    handle = open_file(path, os.O_RDONLY)
    try:
        try:
            lock(handle, shared)
        except OSError as error:
            if strict or isinstance(error, BlockingIOError):
                raise
        if not is_at(handle, path):
            raise FileNotFoundError
        yield
    finally:
        os.close(handle)


def sweep(parent: Path) -> None:
    """Remove the scratch files and folders in `parent` that no process has locked. What cannot be removed stays: it
    does no harm.
    """
    if not renames_open_files():
        return
    with suppress(OSError):
        for name in os.listdir(parent):
            if _SCRATCH.fullmatch(name):
                with suppress(OSError), _locked_scratch(parent / name, strict=True):
                    _remove(parent / name)


def _remove(path: Path) -> None:
    """Remove a scratch file or folder, as far as that is possible."""
    shutil.rmtree(path, ignore_errors=True)  # removes a folder, and no file
    with suppress(OSError):
        path.unlink()


def write_once(path: Path, data: bytes) -> None:
    """Write the file `path` completely, unless it exists. Raises OSError. On some file systems without hard links a
    reader may find an empty file for a moment (`rename_to_new`).
    """
    with scratch(path.parent) as new:
        _write(open_file(new, os.O_WRONLY), data)
        try:
            rename_to_new(new, path)
        except FileExistsError:
            new.unlink()
    sync_folder(path.parent)


def _write(handle: int, data: bytes) -> None:
    """Write `data` to the open file `handle`, fsync and close it."""
    with open(handle, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:  # a write may be partial: 2 GB at most, or the space left on the disk
            view = view[file.write(view) :]
        os.fsync(handle)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file. Raises ModelFileError naming the path and the reason: no file, a link, a FIFO, a
    device, or more than `max_bytes`.
    """
    where = quote(path, 200)
    try:
        with open(open_file(path, os.O_RDONLY), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelFileError(f"{where} is not a regular file")
            if status.st_size > max_bytes:
                raise ModelFileError(f"{where} has {status.st_size:,} bytes, more than the {max_bytes:,} allowed")
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot read {where}: {reason(error)}") from error


def replace_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (plain names) as the folder `target`, and then remove the folder that was there.

    The caller checks that the old folder may be removed. Raises ModelFileError naming the path and the reason; `target`
    is then as it was.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(target.parent, folder=True) as new:
            for name, data in files.items():
                _write(open_file(new / name, _NEW), data)
            sync_folder(new)
            old = swap_in(new, target)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot save to {quote(target, 200)}: {reason(error)}; nothing was changed") from error
    try:
        sync_folder(target.parent)
        with suppress(BlockingIOError, FileNotFoundError):  # another process sweeps it, or has swept it
            if old is not None:
                with _locked_scratch(old):
                    shutil.rmtree(old)
    except OSError as error:  # the save itself has succeeded, so this is a warning
        message = f"saved, but tidying up failed ({reason(error)})"
        if old is not None:
            message += f", and the folder it replaced may be left as {quote(old, 200)}"
        warn(message, RuntimeWarning)


def swap_in(new: Path, target: Path) -> Path | None:
    """Rename `new` to `target`. Returns the new path of the folder that was there, None if there was none."""
    if not target.exists() or not any(target.iterdir()):
        rename_folder(new, target)
        return None
    if exchange(new, target):
        return new
    aside = target.parent / f".gatewise-{secrets.token_hex(8)}.old"  # never swept: it may be the only copy
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except BaseException:
        with suppress(OSError):
            os.rename(aside, target)
        raise
    return aside

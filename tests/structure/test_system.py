"""What exists on some operating systems only is used by `gatewise.system` alone."""

import ast

from source_tree import trees

MODULES = {"ctypes", "fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "termios", "winreg"}
NAMES = {
    *("O_BINARY", "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NOINHERIT", "O_NONBLOCK"),
    *("chown", "dir_fd", "fchmod", "geteuid", "getuid", "mkfifo", "pread", "pwrite", "supports_dir_fd", "supports_fd"),
    *("fork", "forkpty", "getpgid", "killpg", "register_at_fork", "sched_getaffinity", "setsid", "wait4", "waitpid"),
    *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGXCPU", "alarm", "setitimer"),
    *("CDLL", "SO_EXCLUSIVEADDRUSE", "SO_REUSEADDR", "SO_REUSEPORT", "preexec_fn"),
}

SYSTEMS = {"sys.platform", "os.name"}


def uses(tree: ast.AST) -> set[str]:
    """The names in `tree` that some systems do not have, and the tests for a system."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} & MODULES
            found |= {alias.name for alias in node.names} & NAMES
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & NAMES
            found |= {ast.unparse(node)} & SYSTEMS if node.attr in ("platform", "name") else set()
        elif isinstance(node, ast.keyword):
            found |= {str(node.arg)} & NAMES
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # getattr(signal, "SIGHUP"), Path("/proc")
            found |= {node.value} & NAMES
            found |= {part for part in ("/proc/", "/sys/") if node.value.startswith(part)}
    return found


def test_no_other_package_asks_for_the_operating_system() -> None:
    found = {str(path): names for path, tree in trees().items() if path.parts[0] != "system" and (names := uses(tree))}
    assert found == {}, "use gatewise.system, or add a function with a fallback there"


def test_the_package_uses_them_itself() -> None:
    """Else the names above are no longer those that the package needs."""
    system = set().union(*(uses(tree) for path, tree in trees().items() if path.parts[0] == "system"))
    assert {"O_NOFOLLOW", "O_DIRECTORY", "dir_fd", "sched_getaffinity", "SIGHUP", "SO_REUSEADDR"} <= system

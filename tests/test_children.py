"""A test that waits for a child process too long fails, and says for which and where it stood."""

import subprocess
import sys

import pytest

from tests.children import run_child, running

WAITS = "import sys, time\ndef wait_for_it():\n    time.sleep(600)\nprint('ready', flush=True)\nwait_for_it()"
HOLDS_THE_PIPE = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])"


def test_a_child_that_does_not_end_fails_the_test_with_its_stack() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"(?s)waited 2 s for the end of .*python.*in wait_for_it"):
        run_child([sys.executable, "-c", WAITS], seconds=2)


def test_a_child_whose_own_child_holds_the_pipe() -> None:
    with pytest.raises(pytest.fail.Exception, match="waited 1 s for the end of"):
        run_child([sys.executable, "-c", HOLDS_THE_PIPE], seconds=1)


def test_a_child_that_fails() -> None:
    assert run_child([sys.executable, "-c", "import sys; print(3); sys.exit(4)"]).returncode == 4
    with pytest.raises(pytest.fail.Exception, match=r"(?s)exit code 1: .*ZeroDivisionError"):
        run_child([sys.executable, "-c", "1 / 0"], check=True)


def test_a_process_is_ended_when_its_block_fails_or_takes_too_long() -> None:
    command = [sys.executable, "-c", WAITS]
    with pytest.raises(ZeroDivisionError), running(command, stdout=subprocess.PIPE) as process:
        raise ZeroDivisionError
    assert process.returncode == -9
    late = pytest.raises(pytest.fail.Exception, match=r"waited 2 s for .*python -c import sys, time")
    with late, running(command, seconds=2, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.read() == "all that it prints while nobody ends it"

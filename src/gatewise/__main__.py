"""The program: `gatewise`, and `python -m gatewise`.

Its commands take a fifth of a second to import. A signal that comes meanwhile must end the program with one line, as
later on, so this module sets the handlers first and imports the commands second. An exception would not do: code that
is being imported may catch it, or raise another one in its place.
"""

import os
import sys


def main() -> None:
    """Run the command line: `gatewise.cli.main`."""
    try:
        end_on_signals()
    except KeyboardInterrupt:  # Python's own answer to Ctrl-C, until the handlers are set
        end_at_once(2)
    from gatewise.system.garbage import collection_paused

    with collection_paused():
        from gatewise.cli import main as run_command

    run_command()


def end_on_signals() -> None:
    """End the process at once on a signal. A signal that is ignored already stays so (nohup)."""
    import signal

    from gatewise.system.signals import STOP_SIGNALS

    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_at_once)


def end_at_once(number: int, frame: object = None) -> None:
    """End the process as `gatewise.cli.main` does after the signal `number`. Nothing is open yet that would be lost."""
    if sys.stderr is not None:  # it is closed; its number may be that of another file now
        try:  # noqa: SIM105 (a handler of signals imports nothing)
            os.write(2, b"gatewise: stopped\n")
        except OSError:
            pass
    os._exit(128 + number)


if __name__ == "__main__":
    main()

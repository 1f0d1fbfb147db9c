"""The program: the same steps as the package, from a file to a folder of results.

Nothing heavy is imported before a command needs it, so that ``scifn --help`` is quick.

Exit status: 0 done; 2 a mistake in the input (one message, nothing written); 1 a fault
of scifn.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence

from scifn._errors import ScifnError
from scifn.cli._commands import app

__all__ = ["app", "main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run the program and leave with its exit status.

    Parameters
    ----------
    args
        Words of the command line, without the program's name; those of the process if None.
    """
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words
    try:
        with warnings.catch_warnings():
            if not debug:
                # what libraries tell their developers is nothing that a user can act on
                warnings.simplefilter("ignore")
            app(args=words, prog_name="scifn")
    except ScifnError as error:
        _say(f"scifn: {error}")
        if debug:
            traceback.print_exc()
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        _say("scifn: interrupted; nothing was written.")
        raise SystemExit(130) from None
    except Exception as error:
        _say(
            f"scifn: this is a fault of scifn, not of your data: {type(error).__name__}: {error}\n"
            "Please report it with this message; --debug prints where it happened. "
            "Nothing was written."
        )
        if debug:
            traceback.print_exc()
        raise SystemExit(1) from None


def _say(text: str) -> None:
    sys.stderr.write(text.rstrip() + "\n")

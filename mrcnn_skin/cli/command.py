"""What a command is: options with defaults, one line for a mistake, a quiet terminal.

Heavy imports wait until the options are read, so that --help answers at once.
"""

import argparse
import faulthandler
import importlib.util
import os
import sys
import warnings

from .. import NATIVE_LOG_LEVEL


class Help(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Help with the description as it is written, and each option's default."""

    def _get_help_string(self, action):
        text = action.help or ""
        is_said = "default" in text or action.default in (None, False)
        return text if is_said else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser that shows the defaults in its help.

    It expands a leading ~ in values; a shell does not in `--dataset=~/isic`.
    """

    def __init__(self, command, **kwargs):
        super().__init__(prog=f"mrcnn-skin {command}", formatter_class=Help, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        args = [_expand_home(arg) for arg in (sys.argv[1:] if args is None else args)]
        return super().parse_known_args(args, namespace)


def _expand_home(argument):
    """Turn "~/x" and "--option=~/x" into paths below the home folder."""
    option, equals, value = argument.partition("=")
    if equals and option.startswith("--"):
        return option + equals + os.path.expanduser(value)
    return os.path.expanduser(argument)


def run(command, main, resume="run it again to start over"):
    """Run a command and exit; a mistake of the user ends in one line and status 2.

    Args:
        command: its name, for messages.
        main: function without arguments; what it returns is the exit status.
        resume: what to do after Ctrl-C, in words.
    """
    silence_native_logs()
    # Pillow's, on images that Config.MAX_IMAGE_PIXELS judges; they are named elsewhere
    warnings.filterwarnings("ignore", "Image size .* decompression bomb")
    try:
        sys.exit(main())
    except (
        ValueError,
        FileNotFoundError,
        FileExistsError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
    ) as error:
        message, status = f"error: {error}", 2
    except (OSError, MemoryError) as error:
        message, status = f"error: {error}", 1
    except KeyboardInterrupt:
        message, status = f"interrupted; {resume}", 130
    print(f"mrcnn-skin {command}: {message}", file=sys.stderr)
    sys.exit(status)


def require(module, extra):
    """Raise ValueError, with what to install, if a module of an extra is missing."""
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            f'the package {module} is not installed: pip install "mrcnn_skin[{extra}]"'
        )


def silence_native_logs():
    """Keep the notices of TensorFlow's C++ code out of the terminal.

    They go to file descriptor 2, and no setting of TensorFlow stops all of them; so
    Python's stderr moves to a descriptor of its own. Crashes still print their stack.
    TF_CPP_MIN_LOG_LEVEL=0 shows them, as does any level but the package's own.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", NATIVE_LOG_LEVEL) != NATIVE_LOG_LEVEL:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = os.fdopen(terminal, "w", buffering=1)
    faulthandler.enable(sys.stderr)

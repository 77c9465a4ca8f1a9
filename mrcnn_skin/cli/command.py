"""What all commands share: the option parser, error messages, native logs.

Commands import TensorFlow only after the options are parsed, so that --help is fast.
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
    """Help formatter that keeps the description's layout and shows defaults."""

    def _get_help_string(self, action):
        text = action.help or ""
        is_said = "default" in text or action.default in (None, False)
        return text if is_said else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Argument parser that expands ~, which a shell does not in `--dataset=~/isic`."""

    def __init__(self, command, **kwargs):
        super().__init__(prog=f"mrcnn-skin {command}", formatter_class=Help, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        args = [_expand_home(arg) for arg in (sys.argv[1:] if args is None else args)]
        return super().parse_known_args(args, namespace)


def _expand_home(argument):
    """Expand ~ in "~/x" and "--option=~/x"."""
    option, equals, value = argument.partition("=")
    if equals and option.startswith("--"):
        return option + equals + os.path.expanduser(value)
    return os.path.expanduser(argument)


def run(command, main, resume="run it again to start over"):
    """Run a command and exit; an error is one line on stderr and status 1 or 2.

    Args:
        command: its name, for messages.
        main: function without arguments that returns the exit status.
        resume: what to do after Ctrl-C, in words.
    """
    silence_native_logs()
    # Config.MAX_IMAGE_PIXELS decides which images are too large
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
    """Raise ValueError, naming the extra to install, if a module is missing."""
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            f'the package {module} is not installed: pip install "mrcnn_skin[{extra}]"'
        )


def silence_native_logs():
    """Silence the log messages of TensorFlow's C++ code.

    They go to file descriptor 2, and no setting of TensorFlow stops all of them, so
    Python's stderr gets a descriptor of its own. Crashes still print their stack.
    TF_CPP_MIN_LOG_LEVEL=0 shows the messages.
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

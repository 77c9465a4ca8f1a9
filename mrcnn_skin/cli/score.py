"""Predict diagnosis, box and lesion area for archives of millions of images.

SOURCE is a folder, which is searched recursively, or a list: a text file with one path
per line, or a CSV table with a column of paths. Ray Data distributes the images to
workers, each with a network of its own: on this machine, or on a cluster that sees the
same paths and has the requirements of mrcnn_skin installed.

    mrcnn-skin score SOURCE --weights=last --out=answers --workers=4

Writes part-*.parquet to --out, with the columns of predictions.csv (see `mrcnn-skin
predict --help`; image is the path in SOURCE), error, the reason why an image could not
be read, and with --masks also mask_png. Run again, the command resumes with the images
that have no answer yet, including those added to SOURCE since.

Needs Ray and pyarrow (pip install "mrcnn_skin[archive]"). Exit status: 0 all remaining
images were scored; 1 some were unreadable or failed; 2 a mistake in the options.

Research software, no medical device.
"""

import hashlib
import logging
import math
import os
import time
from pathlib import Path

from . import command, models, options
from .predict import describe_skipped

RESUME = "the same command resumes with the images that have no answer yet"


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    parser = command.Parser("score", description=__doc__)
    parser.add_argument("source", metavar="SOURCE", help="folder, or list of paths")
    options.add_network_options(parser, out="answers")
    parser.add_argument("--workers", type=int, default=1, help="number of processes")
    parser.add_argument(
        "--threads",
        type=int,
        help="per worker (default: this machine's cores divided by --workers)",
    )
    parser.add_argument(
        "--address",
        help="HOST:PORT of a Ray cluster, or auto for the one that this machine is in "
        "(default: this machine alone)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=64, help="images per task of a worker"
    )
    parser.add_argument(
        "--masks", action="store_true", help="add mask_png: 255 is lesion"
    )
    options.add_precision_option(parser)
    options.add_sensitivity_option(parser)
    args = parser.parse_args(argv)
    for name in ("workers", "threads", "batch_size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} must be at least 1, got {value}")
    return score(args)


def score(args):
    """Run the command; returns its exit status."""
    for module in ("pyarrow", "ray"):
        command.require(module, "archive")
    from ..serving.batch_scoring import Parts, list_images, root_of

    weights = models.trained_weights(args.weights, args.logs).resolve()
    config = models.trained_config(weights, args)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    with Parts(args.out, {"weights": digest, "config": config.to_json()}) as parts:
        results = []
        paths = parts.left_of(list_images(args.source, results))
        done = len(parts.scored)
        if results:
            print(f"{args.source}: {describe_skipped(results)}")
        print(f"{len(paths)} images to score, {done} have answers already")
        scorer = {"weights": weights, "config": config}
        scorer |= {"root": root_of(args.source), "masks": args.masks}
        tables = ()
        if len(paths):
            # Fail here, with one line, rather than in a worker, with Ray's stacks
            models.build_model(weights, config)
            tables = score_on_ray(paths, scorer, args)
        scored, unreadable = collect(tables, parts, len(paths), done)
    missing = len(paths) - scored
    if unreadable:
        print(f"{unreadable} cannot be read; the column error has the reasons")
    if missing:
        print(f"{missing} have no answer since their batches failed: run it again")
    print(f"written to {Path(args.out).resolve()}")
    return 1 if unreadable or missing else 0


def score_on_ray(paths, scorer, args):
    """Yield tables of answers as workers finish their batches.

    paths: a pa.Array; scorer: the arguments of Scorer except threads.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # send no usage statistics
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    threads = args.threads or max(1, os.cpu_count() // args.workers)
    if args.address:
        # The nodes have the requirements; this package is sent to them
        sources = {"py_modules": [str(Path(__file__).resolve().parents[1])]}
        where = {"address": args.address, "runtime_env": sources}
    else:
        where = {"num_cpus": args.workers * threads, "include_dashboard": False}
    try:
        ray.init(**where, **quiet)
    except Exception as error:  # Ray raises no class of its own
        raise OSError(f"Ray did not start: {error}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # collect() has its own
    context.max_errored_blocks = -1  # a failed batch does not stop the others
    blocks = math.ceil(len(paths) / args.batch_size)
    images = ray.data.from_items(paths.to_pylist(), override_num_blocks=blocks)
    answers = images.map_batches(
        Scorer,
        fn_constructor_kwargs={**scorer, "threads": threads},
        batch_size=None,  # a block
        batch_format="pyarrow",
        num_cpus=threads,
        compute=ray.data.ActorPoolStrategy(size=args.workers),
    )
    yield from answers.iter_batches(batch_size=None, batch_format="pyarrow")


class Scorer:
    """The network of a Ray worker, which scores batches of paths."""

    def __init__(self, weights, config, root, masks, threads):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.model = models.build_model(weights, config)
        self.root, self.masks = root, masks

    def __call__(self, batch):
        from ..serving.batch_scoring import score_files

        paths = batch["item"].to_pylist()
        model = self.model
        return score_files(model.detector, self.root, paths, model.config, self.masks)


def collect(tables, parts, expected, done):
    """Write tables as they arrive; return the number of answers, and of errors."""
    from tqdm import tqdm

    scored = unreadable = 0
    begin = time.monotonic()
    with tqdm(total=done + expected, initial=done, desc="score", unit="image") as bar:
        for table in tables:
            if not scored:
                first, started = len(table), time.monotonic()
            parts.add(table)
            scored += len(table)
            unreadable += len(table) - table["error"].null_count
            bar.update(len(table))
    if scored:
        now = time.monotonic()
        print(f"{scored} images in {now - begin:.0f} s")
        if scored > first:  # the first batch includes loading and tracing the network
            rate = (scored - first) / (now - started)
            print(f"{rate:.1f} images/s after the first {first}")
    return scored, unreadable

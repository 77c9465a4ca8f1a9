"""Which devices a run computes on, in one process or in several."""

import os
from pathlib import Path

import tensorflow as tf

NVIDIA_CARDS = Path("/proc/driver/nvidia/gpus")  # a folder for each


def in_cluster():
    """Whether TF_CONFIG names this process as one of several that train together."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    return len(resolver.cluster_spec().as_dict().get("worker", ())) > 1


def is_chief(strategy):
    """Whether this process writes the run's files: the first of the workers does."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_id


def device_strategy(count):
    """A tf.distribute strategy over `count` devices, those of all processes.

    One device needs none, and keeps the strategy in force. More are GPUs, or where
    there is no GPU logical CPUs, which share the cores and serve tests and trials.
    With several workers in TF_CONFIG they are all the GPUs of each, or its one CPU.
    Raises ValueError if there are not as many devices as asked for.
    """
    if in_cluster():
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        if strategy.num_replicas_in_sync != count:
            raise ValueError(
                f"GPU_COUNT is {count}, but the workers of TF_CONFIG have "
                f"{strategy.num_replicas_in_sync} devices"
            )
        return strategy
    if count == 1:
        return tf.distribute.get_strategy()
    # Physical devices first: to list the logical ones starts TensorFlow, after which
    # a CPU cannot be divided any more
    if tf.config.list_physical_devices("GPU"):
        gpus = tf.config.list_logical_devices("GPU")
        if len(gpus) < count:
            raise ValueError(f"GPU_COUNT is {count}, but there are {len(gpus)} GPUs")
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus[:count]])
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow has started: take the devices that there are
        pass
    cpus = tf.config.list_logical_devices("CPU")
    if len(cpus) < count:
        raise ValueError(
            f"GPU_COUNT is {count}, but TensorFlow already runs on {len(cpus)} CPU "
            "devices; build the model before anything else"
        )
    return tf.distribute.MirroredStrategy([cpu.name for cpu in cpus[:count]])


def describe_devices():
    """Return in words the GPUs that TensorFlow computes on, or the processor."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"the processor, {os.cpu_count()} cores; no GPU"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    names = [x.get("device_name", "a GPU") for x in details]
    return f"{len(gpus)} GPU(s): {', '.join(names)}"


def unused_gpu(cards=NVIDIA_CARDS):
    """Return a warning if there is an NVIDIA card that TensorFlow cannot use, or "".

    cards: the folder in which the driver lists the cards.
    """
    if tf.config.list_physical_devices("GPU") or not cards.is_dir():
        return ""
    if not (count := len(list(cards.iterdir()))):
        return ""
    return (
        f"the driver lists {count} NVIDIA card(s), but TensorFlow uses none: install "
        'the CUDA libraries with pip install "mrcnn_skin[gpu]"'
    )


def make_repeatable():
    """Make TensorFlow deterministic on CPUs, whatever the order of its threads.

    GPUs are left alone: they have no such kernel for the gradient of RoIAlign.
    """
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()

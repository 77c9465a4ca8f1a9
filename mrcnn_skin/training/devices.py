"""Which devices a run computes on."""

import tensorflow as tf


def device_strategy(count):
    """A tf.distribute strategy over `count` devices.

    One device needs none, and keeps the strategy in force. More are GPUs, or where
    there is no GPU logical CPUs, which share the cores and serve tests and trials.
    Raises ValueError if there are fewer GPUs than asked for.
    """
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

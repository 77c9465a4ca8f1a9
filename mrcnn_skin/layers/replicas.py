"""Sums over the devices that share a training step.

Which devices a run has is decided in training/layers/replicas.py.
"""

import tensorflow as tf


def sum_over_devices(tensors):
    """Sum a tensor, or each of a structure, over the step's devices; itself for one.

    Outside of a strategy's run, as when a graph is built or validated, there is one.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)

"""Worker of harness.py: a training step of the TensorFlow Model Garden's Mask R-CNN.

For an environment of its own with tf-models-official; README.md says which. The network
is that of worker_model_garden.py, random weights and frozen BatchNorm. Its mask head
always sees a quarter of the sampled regions, as many as may be positive.
"""

import worker
from worker_model_garden import build, make_config, versions


def main():
    options = worker.training_options(__doc__, ("all", "heads"), ("resnet50",))
    args = options.parse_args()

    import tensorflow as tf
    import tf_keras

    config = training_config(args)
    task, model = build(config, args.precision)
    # No loss scale: bfloat16 has float32's range. Weight decay is a loss of the task
    optimizer = tf_keras.optimizers.SGD(1e-4, momentum=0.9)
    inputs = make_batch(config, args)
    train_step = tf.function(lambda: task.train_step(inputs, model, optimizer)["loss"])

    def step():
        loss = float(train_step())
        if not abs(loss) < float("inf"):
            raise ArithmeticError(f"the loss must be finite, got {loss}")

    worker.serve(versions(), step)


def training_config(args):
    """The configuration that samples as many anchors and regions as all trainers."""
    freeze = args.layers == "heads"
    config = make_config(args.size, [args.size, args.size], freeze_backbone=freeze)
    config.losses.l2_weight_decay = 1e-4
    config.train_data.parser.rpn_batch_size_per_im = args.anchors
    config.model.roi_generator.num_proposals = args.proposals
    sampler = config.model.roi_sampler
    sampler.num_sampled_rois = args.rois
    most = int(args.rois * sampler.foreground_fraction)
    config.model.mask_sampler.num_sampled_masks = most
    return config


def make_batch(config, args):
    """Images of noise and the labels of a disc in each, from the task's own parser."""
    import tensorflow as tf
    from official.vision.dataloaders.maskrcnn_input import Parser

    model = config.model
    parser = Parser(
        model.input_size[:2],
        model.min_level,
        model.max_level,
        model.anchor.num_scales,
        model.anchor.aspect_ratios,
        model.anchor.anchor_size,
        rpn_batch_size_per_im=config.train_data.parser.rpn_batch_size_per_im,
        include_mask=True,
        dtype=args.precision,
    )
    places = tf.range(args.size, dtype=tf.float32) / args.size - 0.5
    disc = places[:, None] ** 2 + places**2 < 0.25**2
    image = tf.random.uniform([args.size, args.size, 3], 0, 255)
    example = {
        "image": tf.cast(image, tf.uint8),
        "groundtruth_classes": tf.constant([1], tf.int64),
        "groundtruth_boxes": tf.constant([[0.25, 0.25, 0.75, 0.75]]),
        "groundtruth_instance_masks": tf.cast(disc[None], tf.float32),
        "groundtruth_is_crowd": tf.constant([False]),
    }
    data = tf.data.Dataset.from_tensors(example).map(parser.parse_fn(True))
    return next(iter(data.repeat().batch(args.batch)))


if __name__ == "__main__":
    main()

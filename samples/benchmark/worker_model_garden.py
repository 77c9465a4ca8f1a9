"""Worker of harness.py: the TensorFlow Model Garden's Mask R-CNN with random weights.

For an environment of its own with tf-models-official; README.md says which. Its RPN is
half as wide as Matterport's and has BatchNorm, as its pyramid has.
"""

import worker


def main():
    args = worker.detection_options(__doc__).parse_args()
    if args.image:
        args.frame = frame_of(args.image)
    _, model = build(detection_config(args), args.precision)
    way = whole_way(model, args) if args.image else network_run(model, args)
    worker.serve(versions(), way)


def make_config(size, canvas, **task_options):
    """A configuration of the task, near to IsicConfig's; trainers go on from it.

    size: pixels of the image's longer side, with which anchors grow. canvas: height
    and width of what the network sees, multiples of 64.
    """
    from official.vision.configs.maskrcnn import MaskRCNNTask

    config = MaskRCNNTask(**task_options)
    model = config.model
    model.num_classes, model.input_size = worker.CLASSES, [*canvas, 3]
    model.anchor.anchor_size = 16 * size / 1024  # times a level's stride
    # Matterport's box head; the default has four convolutions
    model.detection_head.num_convs, model.detection_head.num_fcs = 0, 2
    # Synchronized BatchNorm is for several processors, and slow
    model.norm_activation.use_sync_bn = False
    return config


def detection_config(args):
    """The configuration with as many proposals and detections as all workers have."""
    config = make_config(args.size, worker.sides(args.size, args.frame, multiple=64))
    proposing, detecting = config.model.roi_generator, config.model.detection_generator
    proposing.test_pre_nms_top_k = worker.PROPOSALS
    proposing.test_num_proposals = worker.PROPOSALS
    detecting.max_num_detections = worker.DETECTIONS
    detecting.pre_nms_score_threshold = 0.0
    return config


def build(config, precision):
    """The task and its network, whose BatchNorm is frozen as other workers' is."""
    import tf_keras
    from official.vision.tasks.maskrcnn import MaskRCNNTask

    tf_keras.utils.set_random_seed(0)
    if precision == "bfloat16":
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    task = MaskRCNNTask(config)
    model = task.build_model()
    for layer in model.submodules:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.trainable = False  # that is with the moving averages, too
    return task, model


def traced(model):
    """A function from canvases, [b, h, w, 3], and the images' [b, 2] to detections.

    The images' heights and widths are pixels of the canvas; so are boxes. Masks are
    small, [b, n, 28, 28].
    """
    import tensorflow as tf

    @tf.function
    def detect(canvases, shapes):
        found = model(canvases, image_shape=shapes, training=False)
        return {name: found[name] for name in found if name.startswith("detection_")}

    return detect


def network_run(model, args):
    """A function that runs the network once on a batch of canvases of noise."""
    import tensorflow as tf

    canvas = worker.sides(args.size, args.frame, multiple=64)
    canvases = tf.random.normal([args.batch, *canvas, 3], dtype=args.precision)
    shapes = tf.constant([canvas] * args.batch, tf.float32)
    detect = traced(model)
    return lambda: detect(canvases, shapes)


def whole_way(model, args):
    """A function from a file to full-size masks, [n, h, w]."""
    import tensorflow as tf
    from official.vision.ops import box_ops, mask_ops, preprocess_ops

    desired = worker.sides(args.size, args.frame)
    canvas = worker.sides(args.size, args.frame, multiple=64)
    detect = traced(model)

    def run():
        pixels = tf.io.decode_image(tf.io.read_file(args.image), channels=3)
        height, width, _ = pixels.shape
        image, info = preprocess_ops.resize_and_crop_image(
            preprocess_ops.normalize_image(pixels), desired, canvas
        )
        found = detect(tf.cast(image[None], args.precision), info[None, 1])
        boxes = found["detection_boxes"][0] / tf.tile(info[2], [2])
        boxes = box_ops.yxyx_to_xywh(boxes.numpy())
        masks = found["detection_masks"][0].numpy()
        return mask_ops.paste_instance_masks(masks, boxes, height, width)

    return run


def frame_of(path):
    """Height and width of an image file as an aspect ratio, HEIGHTxWIDTH."""
    from PIL import Image

    with Image.open(path) as image:
        return f"{image.height}x{image.width}"


def versions():
    """What is measured, in words."""
    from importlib.metadata import version

    names = "tf-models-official", "tensorflow"
    return ", ".join(f"{name} {version(name)}" for name in names)


if __name__ == "__main__":
    main()

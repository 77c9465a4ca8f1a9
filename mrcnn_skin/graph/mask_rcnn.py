"""The training and the inference graph of the network.

Both have the same layers under the same names, so that weights travel by name:
the training graph ends in the loss terms, the inference graph in detections.
"""

import keras
from keras import layers, ops

from ..data.pipeline import input_specs
from ..layers.anchors import Anchors, NormBoxes
from ..layers.detection import DetectionLayer
from ..layers.detection_targets import DetectionTargetLayer, MaskRois
from ..layers.diagnosis import SharedDiagnosis
from ..layers.losses import BoxLoss, ClassLoss, FocalLoss, MaskLoss, RPNBoxLoss
from ..layers.proposal import ProposalLayer
from ..layers.roi_align import FIRST_LEVEL, PyramidROIAlign
from ..layers.rpn_targets import RPNTargets
from .backbones import build_backbone
from .common import Network, computing_in, unfold
from .folding import FoldedModel
from .fpn import fpn
from .heads import (
    build_fpn_mask_graph,
    context_logits,
    fpn_classifier_graph,
    unfamiliar_score,
)
from .rpn import build_rpn_model, rpn, sampled_rpn


def build_inference_model(config):
    """Build the inference graph.

    Inputs: input_image [batch, h, w, channels], RGB 0..255, h and w multiples of 64;
    input_window [batch, 4], normalised, the part of the image that is not padding.
    Outputs, by name, with D = DETECTION_MAX_INSTANCES: detections [batch, D,
    (y1, x1, y2, x2, class_id, score)], normalised; num_detections [batch];
    low_confidence [batch]; probs [batch, D, classes] with the task "classify"; masks
    [batch, D, *MASK_SHAPE] of each detection's class with the task "segment";
    unfamiliar_score [batch] with UNFAMILIAR_COMPONENTS, above 1 for an image unlike
    the training images.
    """
    image = keras.Input(config.CANVAS_SHAPE, name="input_image")
    window = keras.Input([4], name="input_window")
    stages, rpn_maps, pyramid, context, anchors, rpn_model = _features(image, config)
    rois, objectness = _propose(
        rpn_model, rpn_maps, anchors, config.POST_NMS_ROIS_INFERENCE, config
    )
    logits, deltas = _classify(rois, pyramid, context, config)
    if logits is None:
        # Without a class head the RPN's objectness ranks the regions
        roi_probs = ops.stack([1.0 - objectness, objectness], axis=-1)
    else:
        roi_probs = layers.Softmax(dtype="float32", name="mrcnn_class")(logits)
        if config.DIAGNOSIS == "image":
            roi_probs = SharedDiagnosis(name="shared_diagnosis")(roi_probs, rois)
    if deltas is None:
        deltas = ops.zeros_like(roi_probs[..., None] * rois[:, :, None, :])
    detections, probs, count, low = DetectionLayer(
        config.DETECTION_MAX_INSTANCES,
        config.DETECTION_MIN_CONFIDENCE,
        config.DETECTION_NMS_THRESHOLD,
        config.BBOX_STD_DEV,
        config.DETECTION_SCORE,
        config.DETECTION_KEEP_BEST,
        name="mrcnn_detection",
    )(rois, roi_probs, deltas, window)
    outputs = {
        "detections": detections,
        "num_detections": count,
        "low_confidence": low,
    }
    if logits is not None:
        outputs["probs"] = probs
    if config.UNFAMILIAR_COMPONENTS:
        outputs["unfamiliar_score"] = unfamiliar_score(
            stages, image, roi_probs, rois, config
        )
    if "segment" in config.TASKS:
        align = _roi_align(config.MASK_POOL_SIZE, "roi_align_mask", config)
        pooled = align(detections[..., :4], pyramid)
        masks = unfold(
            build_fpn_mask_graph(pooled, config), config.DETECTION_MAX_INSTANCES
        )  # [batch, D, h, w, classes]
        class_ids = ops.cast(detections[..., 4], "int32")[..., None, None, None]
        outputs["masks"] = ops.take_along_axis(masks, class_ids, axis=-1)[..., 0]
    return Network([image, window], outputs, name="mask_rcnn")


def training_inputs(config):
    """Inputs of the training graph, data.pipeline.input_specs as {name: KerasTensor}.

    The image is cast to float32.
    """
    return {
        name: keras.Input(
            spec.shape,
            dtype="float32" if name == "input_image" else spec.dtype.name,
            name=name,
        )
        for name, spec in input_specs(config).items()
    }


def build_training_model(config):
    """Build the training graph.

    Inputs: those of `training_inputs`, by name. Outputs: {loss name: scalar}, the
    terms of Config.LOSS_NAMES before their LOSS_WEIGHTS.
    """
    inputs = training_inputs(config)
    with computing_in(config.TRAINING_PRECISION):
        terms = _losses(inputs, config)
    return FoldedModel(inputs, terms, name="mask_rcnn")


def _losses(inputs, config):
    """Loss terms by name, of `training_inputs`."""
    image, seed = inputs["input_image"], inputs["input_seed"]
    active = inputs["input_active_class_ids"]
    gt_class_ids = inputs["input_gt_class_ids"]
    if "classify" not in config.TASKS:
        gt_class_ids = ops.minimum(gt_class_ids, 1)  # lesion or not
        ops.cast(active, "float32")  # Keras 3.12 refuses an input that nothing takes
    gt_boxes = NormBoxes(name="gt_boxes")(inputs["input_gt_boxes"], image)

    _, rpn_maps, pyramid, context, anchors, rpn_model = _features(image, config)
    index, match, target_deltas = RPNTargets(
        config.RPN_TRAIN_ANCHORS_PER_IMAGE, config.RPN_BBOX_STD_DEV, name="rpn_targets"
    )(anchors, gt_class_ids, gt_boxes, seed)
    logits, deltas = sampled_rpn(rpn_model, rpn_maps, index, config)
    terms = {
        "rpn_class_loss": FocalLoss(
            config.RPN_CLASS_LOSS,
            config.FOCAL_ALPHA,
            config.FOCAL_BETA,
            name="rpn_class_loss",
        )(logits, match),
        "rpn_bbox_loss": RPNBoxLoss(
            config.RPN_REG_WEIGHT, config.BOX_LOSS, name="rpn_bbox_loss"
        )(deltas, match, target_deltas),
    }
    proposals, _ = _propose(
        rpn_model, rpn_maps, anchors, config.POST_NMS_ROIS_TRAINING, config
    )
    targets = DetectionTargetLayer(
        config.TRAIN_ROIS_PER_IMAGE,
        config.ROI_POSITIVE_RATIO,
        config.BBOX_STD_DEV,
        config.MASK_SHAPE,
        config.USE_MINI_MASK,
        name="proposal_targets",
    )(proposals, gt_class_ids, gt_boxes, inputs["input_gt_masks"], seed + 2)
    return terms | _head_losses(targets, pyramid, context, active, config)


def _features(image, config):
    """Backbone, pyramid and RPN.

    Returns [C2, ..., C5], the maps of RPN_LEVELS and of ROI_LEVELS, the context logits
    (None if the Config wants none), the anchors, and the RPN's model. What no level
    needs, such as P2's convolutions, is no part of a Model of the results.
    """
    if config.NUM_CLASSES < 2:
        raise ValueError(
            "NUM_CLASSES must be at least 2 to build a network, the background and "
            f"one class, got {config.NUM_CLASSES}; set it in a subclass of Config"
        )
    mean = [float(value) for value in config.MEAN_PIXEL]
    image_minus_mean = layers.Rescaling(
        1.0, [-m for m in mean], dtype="float32", name="mold_image"
    )(image)
    stages = build_backbone(image_minus_mean, config)
    pyramid = fpn(stages, config)
    has_context = config.CLASSIFY_CONTEXT and "classify" in config.TASKS
    context = context_logits(stages[-1], image, config) if has_context else None
    anchors = Anchors(
        config.RPN_ANCHOR_SCALES,
        config.RPN_ANCHOR_RATIOS,
        config.RPN_STRIDES,
        config.RPN_ANCHOR_STRIDE,
        name="anchors",
    )(image)
    rpn_model = build_rpn_model(
        config.RPN_ANCHOR_STRIDE,
        len(config.RPN_ANCHOR_RATIOS),
        config.TOP_DOWN_PYRAMID_SIZE,
        config.RPN_WIDTH,
    )
    rpn_maps, roi_maps = (
        [pyramid[level - FIRST_LEVEL] for level in levels]
        for levels in (config.RPN_LEVELS, config.ROI_LEVELS)
    )
    return stages, rpn_maps, roi_maps, context, anchors, rpn_model


def _propose(rpn_model, rpn_maps, anchors, count, config):
    """Regions of all levels and their objectness; see ProposalLayer.call."""
    _, probs, deltas = rpn(rpn_model, rpn_maps)
    return ProposalLayer(
        count,
        config.RPN_NMS_THRESHOLD,
        config.PRE_NMS_LIMIT,
        config.RPN_BBOX_STD_DEV,
        name="ROI",
    )(probs, deltas, anchors)


def _roi_align(size, name, config):
    first = config.ROI_LEVELS[0]
    stride = config.BACKBONE_STRIDES[first - FIRST_LEVEL]
    return PyramidROIAlign((size, size), stride, first, name=name)


def _classify(rois, pyramid, context, config):
    """Class logits [batch, rois, classes] and deltas of the RoIs, None if not asked.

    context: logits [batch, 1, classes] of the whole image, or None.
    """
    if not {"classify", "detect"} & set(config.TASKS):
        return None, None
    align = _roi_align(config.POOL_SIZE, "roi_align_classifier", config)
    outputs = fpn_classifier_graph(align(rois, pyramid), config)
    logits, deltas = (None if x is None else unfold(x, rois.shape[1]) for x in outputs)
    return logits if context is None else logits + context, deltas


def _head_losses(targets, pyramid, context, active, config):
    """Loss terms of the three heads that are on; see DetectionTargetLayer.call."""
    rois, match, target_class_ids, target_deltas, target_masks = targets
    logits, deltas = _classify(rois, pyramid, context, config)
    terms = {}
    if logits is not None:
        terms["mrcnn_class_loss"] = ClassLoss(
            config.CLASS_LOSS,
            config.FOCAL_ALPHA,
            config.FOCAL_BETA,
            name="mrcnn_class_loss",
        )(logits, target_class_ids, match, active)
    if deltas is not None:
        terms["mrcnn_bbox_loss"] = BoxLoss(config.BOX_LOSS, name="mrcnn_bbox_loss")(
            deltas, target_class_ids, target_deltas, match
        )
    if "segment" in config.TASKS:
        # Only positive RoIs have a mask to learn from; the others are not computed
        keep = MaskRois(name="mask_rois")(match)
        align = _roi_align(config.MASK_POOL_SIZE, "roi_align_mask", config)
        pooled = align(rois, pyramid, keep=keep)
        terms["mrcnn_mask_loss"] = MaskLoss(
            config.MASK_LOSS,
            config.JACCARD_DELTA,
            config.JACCARD_SCALE,
            config.JACCARD_WEIGHT,
            name="mrcnn_mask_loss",
        )(
            build_fpn_mask_graph(pooled, config, activation=None),
            target_class_ids,
            target_masks,
            match,
            keep,
        )
    return terms

"""Random augmentation of a training image and its masks, by imgaug.

imgaug takes a second to import, so it is imported here only, and when it is needed.
imgaug_fixes.py makes it work on NumPy 2.
"""

import numpy as np

from . import imgaug_fixes  # noqa: F401


def paper_augmentation(side=1024):
    """Return the paper's imgaug augmenter: none to two of five changes per image.

    Horizontal and vertical flip, rotation by 90, 180 or 270 degrees, brightness times
    0.8 to 1.5, Gaussian blur, as in Matterport's nucleus sample.

    Args:
        side: of the images, pixels. The blur, 0 to 5 pixels at the paper's 1024, is
            proportional to it, since at 128 it would hide the signs of a diagnosis.
    """
    from imgaug import augmenters as iaa

    quarter_turns = [iaa.Affine(rotate=angle) for angle in (90, 180, 270)]
    return iaa.SomeOf(
        (0, 2),
        [
            iaa.Fliplr(0.5),
            iaa.Flipud(0.5),
            iaa.OneOf(quarter_turns),
            iaa.Multiply((0.8, 1.5)),
            iaa.GaussianBlur(sigma=(0.0, 5.0 * side / 1024)),
        ],
    )


def strong_augmentation(side=1024):
    """Return an imgaug augmenter stronger than the paper's, for small data sets.

    Brightness, contrast, hue and saturation vary as between cameras; half of the images
    are blurred as by paper_augmentation. Images are mirrored, rotated by any quarter
    turn and up to 20 degrees, scaled by 0.75 to 1.3 and shifted by up to a tenth of the
    side; the outside is black, as at the rim of the lens.

    Args:
        side: of the images, pixels.
    """
    from imgaug import augmenters as iaa

    return iaa.Sequential(
        [
            iaa.Multiply((0.8, 1.25)),
            iaa.LinearContrast((0.8, 1.25)),
            iaa.AddToHueAndSaturation((-12, 12)),
            iaa.Sometimes(0.5, iaa.GaussianBlur(sigma=(0.0, 5.0 * side / 1024))),
            iaa.Fliplr(0.5),
            iaa.Rot90((0, 3), keep_size=True),
            iaa.Affine(
                rotate=(-20, 20),
                scale=(0.75, 1.3),
                translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)},
            ),
        ]
    )


# Values of Config.AUGMENTATION: {name: function of the images' side in pixels}
AUGMENTATIONS = {"paper": paper_augmentation, "strong": strong_augmentation}


def require_augmenter(augmenter):
    """Raise ValueError for what is no imgaug augmenter."""
    if not callable(getattr(augmenter, "to_deterministic", None)):
        raise ValueError(f"augmentation must be an imgaug augmenter, got {augmenter!r}")


def augment(augmenter, image, masks, seed):
    """Augment an image together with its masks (in Matterport's load_image_gt).

    Args:
        augmenter: any imgaug augmenter; it is not modified, so threads may share it.
        image: uint8 [h, w, channels].
        masks: bool [h, w, n]; n may be 0. Only geometric augmenters change them, by
            nearest neighbour; the outside is background.
        seed: int >= 0; the same seed and input give the same result.

    Returns:
        (image, masks): new arrays of the same shapes and types.

    Raises:
        ValueError: for other types or shapes, a negative seed, or if the augmenter
            changes the size or fails (those of colour need three channels).
    """
    require_augmenter(augmenter)
    _check(image, masks, seed)
    own = augmenter.deepcopy()
    own.seed_(int(seed))
    try:
        new_image, new_masks = _transform(own, image, masks)
    except Exception as error:
        raise ValueError(
            f"the augmenter fails on an image of the shape {image.shape}: {error}"
        ) from error
    if new_image.shape != image.shape or new_masks.shape != masks.shape:
        raise ValueError(
            f"an augmenter must keep the image's size {image.shape}, "
            f"got an image {new_image.shape} and masks {new_masks.shape}"
        )
    # imgaug may return mirrored views or the input itself
    return np.array(new_image, order="C"), np.array(new_masks, order="C")


def _transform(augmenter, image, masks):
    if masks.shape[2] == 0:  # OpenCV refuses arrays without channels
        return augmenter(image=image), masks
    from imgaug.augmentables.segmaps import SegmentationMapsOnImage

    segmaps = SegmentationMapsOnImage(masks, shape=image.shape)
    image, segmaps = augmenter(image=image, segmentation_maps=segmaps)
    return image, segmaps.get_arr()


def _check(image, masks, seed):
    if image.dtype != np.uint8 or image.ndim != 3:
        raise ValueError(
            "image must be uint8 [h, w, channels], got "
            f"{image.dtype} {list(image.shape)}"
        )
    if masks.dtype != bool or masks.ndim != 3 or masks.shape[:2] != image.shape[:2]:
        h, w = image.shape[:2]
        raise ValueError(
            f"masks must be bool [{h}, {w}, n], got {masks.dtype} {list(masks.shape)}"
        )
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")

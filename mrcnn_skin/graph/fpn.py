"""Feature pyramid network (Lin et al., 2017) over a backbone's four stages."""

from keras import layers

from .attention import attend


def fpn(stages, config):
    """Build P2..P6.

    stages: [C2, C3, C4, C5], each half as wide as the one before; a dilated C5 is as
    wide as C4. P4 and below then use it as it is, and P5 uses every second cell.
    Returns [P2, P3, P4, P5, P6] of TOP_DOWN_PYRAMID_SIZE channels; P6, every second
    cell of P5, is for the RPN only.
    """
    width = config.TOP_DOWN_PYRAMID_SIZE
    is_dilated = config.BACKBONE_DILATION > 1
    c2, c3, c4, c5 = stages
    top = layers.Conv2D(width, 1, name="fpn_c5p5")(c5)
    merged = [_every_second_cell(top, "fpn_p5subsampled") if is_dilated else top]
    for level, stage in ((4, c4), (3, c3), (2, c2)):
        up = top
        if level < 4 or not is_dilated:
            up = layers.UpSampling2D(2, name=f"fpn_p{level + 1}upsampled")(top)
        lateral = layers.Conv2D(width, 1, name=f"fpn_c{level}p{level}")(stage)
        top = layers.Add(name=f"fpn_p{level}add")([up, lateral])
        merged.insert(0, top)
    pyramid = [
        layers.Conv2D(width, 3, padding="same", name=f"fpn_p{level}")(x)
        for level, x in enumerate(merged, start=2)
    ]
    pyramid = [
        attend(x, f"fpn_p{level}", config) for level, x in enumerate(pyramid, start=2)
    ]
    return [*pyramid, _every_second_cell(pyramid[-1], "fpn_p6")]


def _every_second_cell(x, name):
    return layers.MaxPooling2D(1, 2, name=name)(x)

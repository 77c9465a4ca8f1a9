"""What the images are, beside how they were scored: the columns to group them by."""

from .skin_tone import typology_angle
from .subgroups import metadata_columns


def describe(case):
    """Columns of report.score_images: metadata, size and skin.

    case: a report.Case. Returns a dict of age, sex, site, source, patient_id and
    lesion_id as far as they are known, height and width in pixels, and, with a true
    mask, true_area_share, its share of the image, and ITA, see skin_tone.
    """
    height, width = case.image.shape[:2]
    columns = metadata_columns(case.info) | {"height": height, "width": width}
    truth = case.truth
    if truth is not None:
        columns["true_area_share"] = float(truth.mean())
        columns["ITA"] = typology_angle(case.image, truth)
    return columns

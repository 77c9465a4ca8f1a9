"""Recognise the results of this package by name, so that they are not read as data.

Results are often written into the data folder; they are no ground truth.
"""

# A folder with all files of one set holds results of evaluate, predict, or train
_FOLDER_MARKS = (
    {"per_image.csv", "metrics.json"},
    {"predictions.csv", "overlays"},
    {"run.json", "config.json"},
)
# Files that are results in any folder
FILES = {
    *("predictions.csv", "classification.csv", "per_image.csv", "dropped.csv"),
    *("log.csv", "losses.png", "contact_sheet.png"),
}


def is_output_folder(names):
    """Whether a folder with these file names was written by one of the commands."""
    return any(marks <= set(names) for marks in _FOLDER_MARKS)


def is_output_file(name):
    """Whether a file name, without folder, is that of a result."""
    return name.lower() in FILES

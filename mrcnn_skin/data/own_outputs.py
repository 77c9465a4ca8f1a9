"""What this package writes, known by name so that it is never read as data.

Results often land inside the data folder: predicted masks are no ground truth, and a
table of predictions holds no labels.
"""

# A folder with all files of one set holds results: of evaluate, predict, or train.
_FOLDER_MARKS = (
    {"per_image.csv", "metrics.json"},
    {"predictions.csv", "overlays"},
    {"run.json", "config.json"},
)
# Files that are results wherever they are.
FILES = {
    *("predictions.csv", "classification.csv", "per_image.csv", "dropped.csv"),
    *("log.csv", "losses.png", "contact_sheet.png"),
}


def is_output_folder(names):
    """Whether a folder that holds these names was written by one of the commands."""
    return any(marks <= set(names) for marks in _FOLDER_MARKS)


def is_output_file(name):
    """Whether a file of this name, without its folder, is a result of a command."""
    return name.lower() in FILES

"""Dataset: the classes and images that training, evaluation and notebooks read.

The interface is that of Matterport's utils.Dataset: subclass it, register classes
and images, override load_mask, call prepare(). It neither resizes nor augments.
"""

from collections.abc import Callable

import numpy as np

from ..config_rules import is_whole
from ..geometry.inputs import as_mask
from . import files

# What prepare() computes
PREPARED = (
    "num_classes",
    "class_ids",
    "class_names",
    "num_images",
    "sources",
    "source_class_ids",
    "image_ids",
    "_class_from_source",
)


class Dataset:
    """Images and instance masks from one or several sources.

    A source is a collection with its own class ids ("isic", "coco"). prepare()
    numbers the classes of all sources in the order of add_class; 0 is the background.

        class SpotsDataset(Dataset):
            def load_spots(self, folder):
                self.add_class("spots", 1, "spot")
                for path in sorted(folder.glob("*.png")):
                    self.add_image("spots", path.stem, path)

            def load_mask(self, image_id):
                ...

    Attributes:
        class_info: list of {"source", "id", "name"}, indexed by class id.
        image_info: list of {"source", "id", "path", ...}, indexed by image id.
        num_classes, class_ids (int32 [num_classes]), class_names: after prepare().
        num_images, image_ids (int [num_images], indices of image_info): likewise.
        sources, source_class_ids ({source: class ids that it labels}): likewise.
    """

    def __init__(
        self, class_map: dict | None = None, max_image_pixels: int = files.MAX_PIXELS
    ):
        """Create an empty dataset.

        Args:
            class_map: {"source.id": "source.id"}, equivalent classes; the first gets
                the class id of the second.
            max_image_pixels: maximum height * width of a file, as
                Config.MAX_IMAGE_PIXELS.
        """
        self.max_image_pixels = max_image_pixels
        self.class_map = dict(class_map or {})
        self._added_classes = [{"source": "", "id": 0, "name": "BG"}]
        self.class_info = list(self._added_classes)  # without the mapped ones
        self.image_info = []

    def __getattr__(self, name):
        """Explain which call is missing if the dataset is not prepared."""
        if "_added_classes" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__}.__init__ must call super().__init__() first: "
                f"there is no {name.lstrip('_')}"
            )
        if name in PREPARED:
            raise AttributeError(
                f"{type(self).__name__}.{name.lstrip('_')} must be prepared: call "
                "prepare() after the last add_class() and add_image()"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _require_prepare(self):
        for name in PREPARED:
            vars(self).pop(name, None)

    def add_class(self, source: str, class_id: int, class_name: str) -> None:
        """Register a class of a source; a class that is already there is kept.

        Args:
            source: name of the source, without a dot.
            class_id: the source's own number, 1 or more; 0 is the background.
            class_name: name of the class.

        Raises:
            ValueError: if class_id is another number, a name is empty or not text, or
                source contains a dot.
        """
        if not is_whole(class_id) or class_id < 1:
            raise ValueError(
                "class_id must be a whole number of at least 1, since 0 is the "
                f"background of every source, got {class_id!r} for {class_name!r} of "
                f"{source!r}"
            )
        _require_text(source, "source")
        _require_text(class_name, "class_name")
        if "." in source:
            raise ValueError(f"source must not contain a dot, got {source!r}")
        info = {"source": source, "id": class_id, "name": class_name}
        if _class_key(info) not in map(_class_key, self._added_classes):
            self._added_classes.append(info)
            self.class_info.append(info)
            self._require_prepare()

    def add_image(self, source: str, image_id, path, **kwargs) -> None:
        """Register an image.

        Args:
            source: name of the source.
            image_id: the source's own name of the image.
            path: of the file, or None.
            **kwargs: further entries of its image_info. class_id is the source's class
                id of the whole image (0: none), which labels() returns.

        Raises:
            ValueError: if source is empty or not text.
        """
        _require_text(source, "source")
        info = {"id": image_id, "source": source, "path": path, **kwargs}
        self.image_info.append(info)
        self._require_prepare()

    def image_reference(self, image_id: int) -> str:
        """Return the name of an image in messages: id and path; may be overridden."""
        info = self.image_info[image_id]
        path = f" ({info['path']})" if info["path"] else ""
        return f"{info['id']}{path}"

    def prepare(self, class_map: dict | None = None) -> None:
        """Number the classes and images; call it after all of them are added.

        Args:
            class_map: replaces the one given to the constructor.

        Raises:
            ValueError: if class_map names a class that was not added.
        """
        if class_map is not None:
            self.class_map = dict(class_map)
        self.class_info = [
            info
            for info in self._added_classes
            if _class_key(info) not in self.class_map
        ]
        self.num_classes = len(self.class_info)
        self.class_ids = np.arange(self.num_classes, dtype=np.int32)
        self.class_names = [info["name"] for info in self.class_info]
        self.num_images = len(self.image_info)
        self.image_ids = np.arange(self.num_images)
        self._class_from_source = self._number_source_classes()
        self.sources = list(dict.fromkeys(c["source"] for c in self._added_classes))
        self.source_class_ids = {
            source: self._class_ids_of(source) for source in self.sources
        }

    def map_source_class_id(self, source_class_id: str) -> int:
        """Return the class id of a source's class, given as "source.id".

        Raises:
            ValueError: if no such class was added.
        """
        try:
            return self._class_from_source[source_class_id]
        except KeyError:
            raise ValueError(
                f"source_class_id must be one of {list(self._class_from_source)}, "
                f"got {source_class_id!r}"
            ) from None

    def get_source_class_id(self, class_id: int, source: str) -> int:
        """Return the source's own number of a class id.

        Raises:
            ValueError: if the source does not label that class.
        """
        for info in self._added_classes:
            key = _class_key(info)
            if info["source"] == source and self._class_from_source[key] == class_id:
                return info["id"]
        raise ValueError(f"source {source!r} has no class with class_id {class_id}")

    def source_image_link(self, image_id: int):
        """Return the path or URL of the image."""
        return self.image_info[image_id]["path"]

    def load_image(self, image_id: int) -> np.ndarray:
        """Read the image: uint8 [height, width, 3], RGB.

        Raises:
            files.UnreadableImage: if the file is unusable; the message names it.
        """
        path = self.image_info[image_id]["path"]
        image = files.read_image(path, self.max_image_pixels)
        self._require_size(image_id, image.shape[:2])
        return image

    def load_reduced_image(
        self, image_id: int, scale_of: Callable[[tuple], float]
    ) -> tuple[np.ndarray, tuple]:
        """Read the image for resizing, decoded at reduced size if that is faster.

        If load_image is overridden, it is called instead.

        Args:
            image_id: index of image_info.
            scale_of: function from (height, width), pixels, to the resize factor.

        Returns:
            image: uint8 [h, w, 3], at least as large as after the resize.
            shape: (height, width, 3) at full size.

        Raises:
            files.UnreadableImage: if the file is unusable; the message names it.
        """
        if type(self).load_image is not Dataset.load_image:
            image = self.load_image(image_id)
            return image, np.shape(image)
        path = self.image_info[image_id]["path"]
        size = files.image_size(path, self.max_image_pixels)
        self._require_size(image_id, size)
        image = files.read_image(path, self.max_image_pixels, scale_of(size))
        return image, (*size, 3)

    def _require_size(self, image_id, size):
        """Raise files.UnreadableImage if the image cannot have this (height, width)."""

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the instances of an image; to be overridden. Here there are none.

        Returns:
            masks: bool [height, width, instances].
            class_ids: int32 [instances]. Crowds (several instances under one mask)
                have negative ids, as in Matterport's samples: neither they nor the
                proposals that overlap them are trained on.
        """
        return np.empty([0, 0, 0], bool), np.empty([0], np.int32)

    def active_class_ids(self, image_id: int) -> np.ndarray:
        """Return which classes, background included, the image's source labels.

        Returns:
            int32 [num_classes], 1 for classes whose instances are all annotated.
        """
        active = np.zeros([self.num_classes], np.int32)
        source = self.image_info[image_id]["source"]
        active[self.source_class_ids.get(source, [0])] = 1
        return active

    def labels(self) -> np.ndarray:
        """Return the class id of every image, int32 [num_images]; see label."""
        return np.array([self.label(i) for i in self.image_ids], np.int32)

    def label(self, image_id: int) -> int:
        """Return the class id of an image, used to balance classes.

        It is that of image_info's class_id; without one, the most frequent class of
        the image's instances, or 0.
        """
        info = self.image_info[image_id]
        if info.get("class_id") is None:
            _, class_ids = load_instances(self, image_id)
            class_ids = class_ids[class_ids > 0]  # without crowds
            return np.bincount(class_ids).argmax() if len(class_ids) else 0
        if info["class_id"] == 0:
            return 0
        return self.map_source_class_id(f"{info['source']}.{info['class_id']}")

    def _number_source_classes(self):
        """Return {"source.id": class id} of all classes."""
        numbers = {_class_key(info): i for i, info in enumerate(self.class_info)}
        added = {_class_key(info) for info in self._added_classes}
        for key, target in self.class_map.items():
            if key not in added or target not in numbers:
                raise ValueError(
                    "class_map must map an added class to another that is not "
                    f"mapped itself, got {key!r}: {target!r}"
                )
        return numbers | {key: numbers[to] for key, to in self.class_map.items()}

    def _class_ids_of(self, source):
        """Return the sorted class ids that a source labels; background always."""
        class_ids = {
            self._class_from_source[_class_key(info)]
            for info in self._added_classes
            if info["source"] == source
        }
        return sorted(class_ids | {0})


def require_dataset(dataset, name="dataset"):
    """Check that an object is a prepared Dataset or has the same attributes.

    Raises:
        ValueError: if it is not.
        AttributeError: if it is a Dataset that is not prepared.
    """
    for field in PREPARED:
        if not isinstance(dataset, Dataset) and not hasattr(dataset, field):
            raise ValueError(f"{name} must be a prepared Dataset, got {dataset!r}")
        getattr(dataset, field)  # Dataset.__getattr__ explains what is missing


def load_instances(dataset, image_id, shape=None):
    """Call load_mask of a data set, and check what it returns.

    Args:
        dataset: a prepared Dataset.
        image_id: index of image_info.
        shape: (height, width) of the image, pixels; None if unknown.

    Returns:
        masks: bool [height, width, instances].
        class_ids: int32 [instances]; negative for crowds, 0 for an image without label.

    Raises:
        ValueError: if the result is unusable; the message names the image.
    """
    name = f"image {dataset.image_reference(image_id)}"
    try:
        answer = dataset.load_mask(image_id)
    except (files.UnreadableImage, OSError, MemoryError):
        raise  # the message names the file, or the cause is elsewhere
    except Exception as error:
        raise ValueError(
            f"load_mask of {name} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise ValueError(
            f"load_mask of {name} must return masks and class_ids, got "
            f"{type(answer).__name__}"
        )
    masks_name = f"the masks that load_mask returns for {name}"
    masks = as_mask(answer[0], shape, ndim=3, name=masks_name)
    given = np.asarray(answer[0])
    if given.dtype.kind == "f" and (given.any((0, 1)) & ~masks.any((0, 1))).any():
        raise ValueError(
            f"{masks_name} must have a foreground above 0.5, got values up to "
            f"{given.max(initial=0):g}: threshold them first"
        )
    class_ids = np.asarray(answer[1])
    if class_ids.shape != masks.shape[2:]:
        raise ValueError(
            f"load_mask of {name} must return one class id for each mask, got "
            f"{masks.shape[2]} masks and class_ids of the shape {class_ids.shape}"
        )
    if not len(class_ids):  # an empty array of masks may have any size
        return np.zeros((*(shape or masks.shape[:2]), 0), bool), np.zeros(0, np.int32)
    last = dataset.num_classes - 1
    is_whole = class_ids.dtype.kind in "iu"
    if not is_whole or class_ids.min() < -last or class_ids.max() > last:
        raise ValueError(
            f"the class ids that load_mask returns for {name} must be integers from "
            f"1 to {last}, negative for crowds, got {class_ids.tolist()}"
        )
    class_ids = class_ids.astype(np.int32)
    # The loss of a class that the source does not label would be infinite
    if not dataset.active_class_ids(image_id)[np.abs(class_ids)].all():
        source = dataset.image_info[image_id]["source"]
        raise ValueError(
            f"the class ids that load_mask returns for {name} must be classes that "
            f"were added to its source {source!r}, got {class_ids.tolist()}"
        )
    return masks, class_ids


def _require_text(value, name):
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be text, got {value!r}")


def _class_key(info):
    return f"{info['source']}.{info['id']}"

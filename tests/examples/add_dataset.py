"""A data set of one's own: images, a mask beside each, the class in their names.

train = SpotsDataset()
train.load_spots(Path("spots/train"))  # 001_benign.jpg and 001_benign_mask.png, ...
"""

import numpy as np
from PIL import Image

from mrcnn_skin import Dataset


class SpotsDataset(Dataset):
    def load_spots(self, folder):
        self.add_class("spots", 1, "benign")
        self.add_class("spots", 2, "malignant")
        for path in sorted(folder.glob("*.jpg")):
            class_id = 2 if path.stem.endswith("malignant") else 1
            self.add_image("spots", path.stem, path, class_id=class_id)
        self.prepare()

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        path = info["path"].with_name(f"{info['id']}_mask.png")
        mask = np.asarray(Image.open(path).convert("L")) > 127
        return mask[:, :, None], np.array([info["class_id"]], np.int32)

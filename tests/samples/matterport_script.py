"""A script as users of Matterport's Mask R-CNN write it: shapes on a plain ground.

Only the import lines differ from what it would be there.
"""

import os
import sys

import matplotlib.pyplot as plt
import numpy as np

import mrcnn_skin.model as modellib
import mrcnn_skin.utils as utils
import mrcnn_skin.visualize as visualize
from mrcnn_skin.config import MatterportConfig as Config

MODEL_DIR = os.path.join(sys.argv[1], "logs")


class ShapesConfig(Config):
    NAME = "shapes"
    BACKBONE = "resnet50"
    GPU_COUNT = 1
    IMAGES_PER_GPU = 2
    NUM_CLASSES = 1 + 2  # background, square, disc
    IMAGE_MIN_DIM = 64
    IMAGE_MAX_DIM = 64
    RPN_ANCHOR_SCALES = (8, 16, 32, 48, 64)
    TOP_DOWN_PYRAMID_SIZE = 32
    FPN_CLASSIF_FC_LAYERS_SIZE = 32
    POST_NMS_ROIS_TRAINING = 40
    POST_NMS_ROIS_INFERENCE = 20
    TRAIN_ROIS_PER_IMAGE = 8
    MAX_GT_INSTANCES = 4
    DETECTION_MAX_INSTANCES = 5
    MINI_MASK_SHAPE = (28, 28)
    TRAIN_BN = True
    STEPS_PER_EPOCH = 2
    VALIDATION_STEPS = 1


class InferenceConfig(ShapesConfig):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1
    DETECTION_MIN_CONFIDENCE = 0.0


class ShapesDataset(utils.Dataset):
    def load_shapes(self, count, height, width):
        self.add_class("shapes", 1, "square")
        self.add_class("shapes", 2, "disc")
        for i in range(count):
            shapes = [self.random_shape(height, width) for _ in range(1 + i % 2)]
            self.add_image(
                "shapes",
                image_id=i,
                path=None,
                width=width,
                height=height,
                bg_color=np.random.randint(0, 100, 3),
                shapes=shapes,
            )

    def random_shape(self, height, width):
        name = np.random.choice(["square", "disc"])
        size = np.random.randint(8, 16)
        y = np.random.randint(size, height - size)
        x = np.random.randint(size, width - size)
        return name, np.random.randint(150, 255, 3), (y, x, size)

    def draw(self, name, dims, height, width):
        y, x, size = dims
        rows, columns = np.ogrid[:height, :width]
        if name == "square":
            return (abs(rows - y) < size) & (abs(columns - x) < size)
        return (rows - y) ** 2 + (columns - x) ** 2 < size**2

    def load_image(self, image_id):
        info = self.image_info[image_id]
        image = np.ones([info["height"], info["width"], 3], dtype=np.uint8)
        image = image * info["bg_color"].astype(np.uint8)
        for name, color, dims in info["shapes"]:
            image[self.draw(name, dims, info["height"], info["width"])] = color
        return image

    def image_reference(self, image_id):
        info = self.image_info[image_id]
        if info["source"] == "shapes":
            return info["shapes"]
        else:
            return super(self.__class__, self).image_reference(image_id)

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        height, width, shapes = info["height"], info["width"], info["shapes"]
        mask = np.zeros([height, width, len(shapes)], dtype=np.uint8)
        for i, (name, _, dims) in enumerate(shapes):
            mask[:, :, i] = self.draw(name, dims, height, width)
        class_ids = np.array([self.class_names.index(s[0]) for s in shapes])
        return mask.astype(bool), class_ids.astype(np.int32)


np.random.seed(0)
dataset_train = ShapesDataset()
dataset_train.load_shapes(6, 64, 64)
dataset_train.prepare()
dataset_val = ShapesDataset()
dataset_val.load_shapes(2, 48, 64)
dataset_val.prepare()

config = ShapesConfig()
config.display()

model = modellib.MaskRCNN(mode="training", config=config, model_dir=MODEL_DIR)
model.train(
    dataset_train,
    dataset_val,
    learning_rate=config.LEARNING_RATE,
    epochs=1,
    layers="heads",
)
model.train(
    dataset_train,
    dataset_val,
    learning_rate=config.LEARNING_RATE / 10,
    epochs=2,
    layers="all",
)

inference_config = InferenceConfig()
model = modellib.MaskRCNN(
    mode="inference", config=inference_config, model_dir=MODEL_DIR
)
model_path = model.find_last()
print("Loading weights from ", model_path)
model.load_weights(model_path, by_name=True)

APs = []
for image_id in dataset_val.image_ids:
    image, image_meta, gt_class_id, gt_bbox, gt_mask = modellib.load_image_gt(
        dataset_val, inference_config, image_id, use_mini_mask=False
    )
    modellib.log("image", image)
    modellib.log("image_meta", image_meta)
    modellib.log("gt_mask", gt_mask)
    results = model.detect([image], verbose=1)
    r = results[0]
    AP, precisions, recalls, overlaps = utils.compute_ap(
        gt_bbox,
        gt_class_id,
        gt_mask,
        r["rois"],
        r["class_ids"],
        r["scores"],
        r["masks"],
    )
    APs.append(AP)
print("mAP: ", np.mean(APs))

figure, ax = plt.subplots(1, figsize=(8, 8))
visualize.display_instances(
    image,
    r["rois"],
    r["masks"],
    r["class_ids"],
    dataset_val.class_names,
    r["scores"],
    ax=ax,
)
figure.savefig(os.path.join(sys.argv[1], "detections.png"))

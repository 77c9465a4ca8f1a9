"""BatchNorm whose statistics are frozen unless the Config says otherwise."""

import keras


class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation that can be frozen (Matterport's BatchNorm).

    train_bn: False keeps the moving statistics in use and unchanged in training too,
        which small batches need; gamma and beta still learn.

    The switch is part of the layer because a `training=False` given where the graph is
    built is overruled by the model's own argument when it trains.
    """

    def __init__(self, train_bn=False, **kwargs):
        super().__init__(**kwargs)
        self.train_bn = train_bn

    def call(self, inputs, training=None, mask=None):
        training = bool(training) and self.train_bn
        return super().call(inputs, training=training, mask=mask)

    def get_config(self):
        return {**super().get_config(), "train_bn": self.train_bn}

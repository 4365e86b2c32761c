"""Regions of images, tested causally: copy one from a training image into images of other classes, and apply the model."""

"""Regions of images, tested causally: put one of a training image into images of other classes, and ask the model."""

"""The currency: Instances, Masks, boxes, labels, errors."""

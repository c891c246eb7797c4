"""Images, datasets, augmentation."""

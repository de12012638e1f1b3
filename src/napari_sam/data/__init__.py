"""Images with instance labels for training: folders, synthetic scenes, augmentation."""

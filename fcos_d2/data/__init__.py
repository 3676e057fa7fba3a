"""What training reads: mapper, loader, resize, augmentation, mixing of images."""

"""Augmentation as timm draws it, in tensors."""

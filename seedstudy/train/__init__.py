"""The only home of torch, timm and accelerate: one trial in, integer counts and predictions out."""

"""Conditional diffusion in pure torch: schedule, U-Net, samplers, training, checkpoints."""

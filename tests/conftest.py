"""Tiny models run fastest on one thread; tests that need the real one say so by the marker `real`."""

import torch

torch.set_num_threads(1)

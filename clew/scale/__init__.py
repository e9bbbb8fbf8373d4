"""Work over several processes and devices; nothing else of the house speaks to torch.distributed."""

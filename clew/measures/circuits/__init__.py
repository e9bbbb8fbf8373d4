"""What a circuit explains: judged on prompts that it was not found on."""

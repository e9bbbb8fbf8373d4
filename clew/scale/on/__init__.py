"""Where workers run: a file for each way to start them."""

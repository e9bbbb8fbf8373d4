"""Published layouts of behaviour files, one file each."""

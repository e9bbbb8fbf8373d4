"""What each verb does as long work: a file each, with `ARGS` (what it takes) and `plan`."""

"""Published layouts of files of evidence, a folder for each kind of evidence."""

"""The objectives: one file each, a function of the file's name that returns what is learnt."""

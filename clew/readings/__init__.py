"""What a model holds and says: the floor that methods, measures, edits and training stand on."""

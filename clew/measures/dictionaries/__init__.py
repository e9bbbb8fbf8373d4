"""What a dictionary is worth: measured on text it was not fitted on, or on labelled texts."""

"""The desk: what lies open in a folder and how it is asked about, for the studio and for agents alike."""

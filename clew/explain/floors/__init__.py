"""What a score is compared with: explanations that should not hold, scored in the same way; one file per floor."""

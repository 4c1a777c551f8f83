"""What fuzzing found, kept; and properties that random files, headers and settings must have."""

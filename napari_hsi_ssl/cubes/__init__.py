"""What a cube is and how it gets in and out."""

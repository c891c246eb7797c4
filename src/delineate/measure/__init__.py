"""Shape and intensity of objects, in pixels or physical units."""

"""Labels to images: the physics that stands in for patient data."""

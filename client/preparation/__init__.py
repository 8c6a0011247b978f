"""A prepared site, looked at by its own people: numbers, pictures, a page."""

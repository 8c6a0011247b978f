"""What coordinator and institutions must agree on; imports neither side."""

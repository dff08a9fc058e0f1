"""Scripts that make pages of this repository from its data; not part of the package."""

"""A shop in one file: imports of zip archives, and exports that an import brings back."""

"""What people say of results, and what becomes of it once it has been reviewed."""

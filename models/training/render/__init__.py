"""A renderer of packaged products: label art, meshes, path-traced scenes, exact boxes."""

"""Pictures by the hash of their bytes, outside the database, where all replicas find them.

An object is written once under a name that follows from what it holds, so writing it again, by
whomever, changes nothing. A folder and a bucket give it the same name: copied from one to the
other by whatever means, pictures are found.
"""

from gallery.objects.base import Objects
from gallery.objects.folder import FolderObjects

__all__ = ["FolderObjects", "Objects"]

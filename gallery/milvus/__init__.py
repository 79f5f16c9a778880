"""The gallery on a Milvus server, for more than one machine.

Products, references, vectors and the log of changes are in Milvus, pictures in an object store.
Any number of processes read; one at a time is sent the writes (the proxy in front sees to that,
docs/cluster.md), and another one may be sent them at any moment.

Milvus has no transactions. What it does promise is that the rows of one insert into one shard
come into sight together, and stay. So a change is made in this order:

1. its pictures go to the object store: under their hash, which nobody asks for yet;
2. its references go to Milvus, with the revision they will be of: readers pass over references of
   a revision that is not in the log;
3. its rows go to the log, in one insert. From here on the change holds;
4. the product's row is replaced by the one in the log, and references that the change deletes or
   replaces are deleted;
5. the change is acknowledged.

Whoever writes next looks first whether the newest change in the log is one that it has seen
through. If it isn't (the server went away amid it, or another process made it), it waits until
nobody changes anything any more, then step 4 is done again, which changes nothing where it had been
done, and references of revisions beyond the log are deleted. So an acknowledged change is in the
log and all of it is seen; one that was cut off before step 3 was never made, and one that was cut
off after it is completed.
"""

from gallery.milvus.gallery import MilvusGallery

__all__ = ["MilvusGallery"]

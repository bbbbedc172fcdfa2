"""Global deduplication by URL and by MinHash-LSH.

`find_duplicates(texts, config) -> list[int]` gives the cluster id of each text.
"""

from components.data.deduplication.minhash import find_duplicates

__all__ = ["find_duplicates"]

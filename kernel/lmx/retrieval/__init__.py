"""Retrieval: documents in, answers out.

`service.py` is the RetrievalService. `ingesting.py` reads, cuts, embeds and stores; `searching.py` embeds, searches and
reranks; `assembly.py` makes one text of what was found. `hosting.py` has the processes: the store's, and those in which
documents are read and tokens counted.
"""

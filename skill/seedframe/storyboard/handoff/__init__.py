"""What step 3 hands to step 4: the manifest for Seedance.

In: a `Board` and its results. Out: manifest entries and findings. Never in here: a request to a backend.
"""

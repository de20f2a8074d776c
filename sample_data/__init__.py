"""Sample input: freely licensed pages, awkward records and the outcome expected of each."""

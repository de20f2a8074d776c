"""Pure functions over numpy, Arrow and bytes: no columns, no files, no clock."""

"""Bad inputs as data: how each is spoilt, how the program ends, and words of what it says."""

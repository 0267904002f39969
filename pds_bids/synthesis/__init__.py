"""From a prepared source to the missing volume."""

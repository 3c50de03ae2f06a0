"""Archives: the same messages in every store, and the figures that they have to give."""

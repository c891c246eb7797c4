"""What the studio keeps: classes, images, objects with every version of theirs, edits, comments, users."""

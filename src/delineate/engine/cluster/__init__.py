"""Many machines: images shared out in chunks by Ray Data, results committed so that each counts exactly once.

A chunk is some images (or windows of a slide) that one worker looks at. It writes their results as files
named by their content, and tells the driver; the driver notes the chunk in the commit log, and only what is
noted there counts. See docs/decisions/0032-cluster.md.
"""

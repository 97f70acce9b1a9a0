"""Durable bytes: where they live, how they are framed, who may write them, how they come back.

From the bottom: `filesystem` (the seam), `frames` (the format), `journal` (the writer),
`manifest` (the root of everything, and the fence), `recovery` (the reader), `owner` (who may open).
"""

"""A photograph to one face: found, meshed, judged, turned upright and masked."""

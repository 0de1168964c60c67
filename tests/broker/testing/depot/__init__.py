"""A depot and its haulier: they speak in turns, about pallets that the depot numbers."""

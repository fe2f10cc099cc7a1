"""Which studies are there? Files on disk to records in ArrayRecord."""

"""Published datasets and folders of the user: which examples are there?"""

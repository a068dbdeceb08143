"""Does a reduction method keep the promises that every method makes?"""

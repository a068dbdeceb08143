"""`gpu-check`: what only a GPU can show, measured in one go, kept in a file and judged.

`subject` says what is measured, `parts` measure, `targets` judge the numbers, `check` runs it all.
"""

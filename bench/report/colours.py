"""Colours that pages and the plots on them share: name of a CSS variable -> light, dark.

Plots use Okabe and Ito's, which colour-blind people tell apart (https://jfly.uni-koeln.de/color/),
darker on a light page and lighter on a dark one. No two light ones are equal.
"""

COLOURS = {
    "text": ("#1b1f24", "#e6e9ed"),
    "soft": ("#59636e", "#9aa4b0"),
    "line": ("#d5dae0", "#323a44"),
    "card": ("#ffffff", "#1a1f25"),
    "lost": ("#b3401f", "#ff9a76"),
    "gained": ("#0b6aa2", "#6cc0f5"),
    "grey": ("#6b7480", "#aab4bf"),
    "blue": ("#0072b2", "#4db2ec"),
    "orange": ("#c98500", "#f0b429"),
    "green": ("#00805c", "#2fc79b"),
    "vermillion": ("#d55e00", "#ff8b45"),
    "purple": ("#b8578f", "#e29ac3"),
    "sky": ("#3a9bd0", "#8fd3ff"),
}

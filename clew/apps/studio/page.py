"""The page that a browser opens: a shell into which our own script draws."""

from __future__ import annotations

SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>clew studio</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/studio.css">
<script src="/studio.js" defer></script>
</head>
<body>
<div id="studio"></div>
<noscript>The studio is drawn by a script; allow scripts for this address.</noscript>
</body>
</html>
"""

import re

from clew.apps.studio.page import SHELL


def test_the_page_holds_no_script_and_no_style_of_its_own():
    assert not re.search(r"<script>|<style|\son\w+=|style=", SHELL)
    assert re.findall(r'(?:src|href)="([^"]*)"', SHELL) == ["data:,", "/studio.css", "/studio.js"]

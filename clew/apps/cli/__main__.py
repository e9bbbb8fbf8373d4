from clew.apps.cli import main

main()

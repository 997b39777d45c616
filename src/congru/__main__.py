"""`python -m congru`: the command `congru`, where its script is not on the path."""

from congru.cli.main import main

if __name__ == "__main__":
    main()

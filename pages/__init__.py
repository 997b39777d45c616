"""Pages of the documentation that are made from the code, so that they cannot say anything else: `python -m pages`.

    docs/architecture.svg   the folders and which of them import which (drawing.py)
    docs/commands.md        every command and flag (commands.py)
    docs/api.md             every public name (api.py)
    docs/networks.md        the table of node types in it (nodes.py)

`tests/test_pages.py` fails where a page is not what the code says.
"""

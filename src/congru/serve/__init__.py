"""The server of model and run folders: HTTP, WebSocket and the page. `congru.serve.app.make_app` is the whole of it.

Needs the extra `serve`; nothing here is imported by the rest of the package but by the command.
"""

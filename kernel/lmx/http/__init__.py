"""The kernel's HTTP side: mounts the routes of all surfaces, guards them, and serves them.

`app.make_app` builds the application, `server.serve` runs it on a socket that `server.bind` opened.
"""

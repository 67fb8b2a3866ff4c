"""Serve this folder on this machine alone: python examples/web/serve.py [PORT].

Any server of static files will do. This one also sends the two headers by which browsers isolate
the page, without which WebAssembly has one thread only.
"""

import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(SimpleHTTPRequestHandler):
    """Sends files of this folder."""

    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of each file."""


def server(port: int = 0) -> ThreadingHTTPServer:
    """Return one that listens on a port of this machine; 0: on a free one."""
    handler = partial(Handler, directory=str(Path(__file__).resolve().parent))
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


if __name__ == "__main__":
    with server(int(sys.argv[1]) if len(sys.argv) > 1 else 8000) as here:
        print(f"http://localhost:{here.server_address[1]}/  (Ctrl-C ends)")
        with suppress(KeyboardInterrupt):
            here.serve_forever()
